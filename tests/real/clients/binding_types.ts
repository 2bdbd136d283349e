// SPDX-License-Identifier: Apache-2.0

// Uses every declaration of the package outrider; it is compiled, not run.
import {Client, Explanation, Instance, OutriderError, Registration, Service, Watch} from 'outrider';

const service: Service = {name: 'hello', port: 80, metadata: {zone: 'a'}, checks: [{ttl: '10s'}]};

export async function main(): Promise<string> {
  const client = new Client({socket: '/run/outrider/agent.sock'});
  const signal = AbortSignal.timeout(1000);
  const registration: Registration =
      await client.register(service, {ttl: '15s', health: 'warning', signal});
  registration.on('lost', (error) => console.log(error.message));
  registration.on('restored', (id) => console.log(id.length));
  await registration.setHealth('passing', 'fine');
  const note: string | undefined = (await registration.setMaintenance(true, 'upgrade')).note;
  await registration.setDraining();
  await registration.renew();
  // @ts-expect-error: only the agent says this
  await registration.setHealth('maintenance');
  // @ts-expect-error: Client.register() makes it
  new Registration();

  const instances: Instance[] = await client.get('hello', {tags: ['a'], healthy: true, signal});
  const counts: number[] = (await client.list({prefix: 'h'})).map(({served}) => served);
  const {revision} = await client.snapshot({passing: true});
  const {endpoint, instance} = await client.select('hello', {strategy: 'consistent_hash', key: 'a'});
  // @ts-expect-error: no strategy
  await client.select('hello', {strategy: 'luck'});
  const url: string = await client.url('hello', {scheme: 'https', version: '2'});
  const why: Explanation = await client.why('hello', {at: '5m'});
  await client.manifest('hello-1');
  await client.manifest();
  await client.request('GET', '/v1/outrider/status');
  for (const id of [registration.id, instance.id]) {
    await client.setHealth(id, 'critical', 'down');
    await client.setMaintenance(id, false);
    await client.setDraining(id, false);
    await client.deregister(id);
  }

  const watch: Watch = client.watch('hello', {healthy: true});
  watch.on('instances', (list) => console.log(list[0]?.addresses.join()));
  watch.on('change', ({kind, instance: changed}) => console.log(kind, changed.id));
  watch.on('connect', (path) => console.log(path));
  watch.on('disconnect', (error) => console.log(error.message));
  watch.on('close', () => console.log('closed'));
  for await (const list of watch) console.log(list.length, watch.instances.length);
  watch.close();
  client.watch().close();
  const waited: Instance[] = await client.wait('hello', {count: 2, timeout: 1000});
  await registration.deregister({signal});
  return [note, instances, counts, revision, endpoint, url, why.summary, waited].join();
}

main().catch((error: unknown) => {
  if (error instanceof OutriderError && error.code === 'ERR_OUTRIDER_TIMEOUT') {
    console.log(error.status, error.message);
  }
});
