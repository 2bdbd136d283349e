// SPDX-License-Identifier: Apache-2.0
// What Go programs do with etcd, by the client library of the frameworks: keys, transactions, leases that are kept
// alive, watches, a session with a mutex and an election. Prints one line a step.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
)

func must(err error, what string) {
	if err != nil {
		fmt.Println("FAILED", what, err)
		os.Exit(1)
	}
	fmt.Println("ok", what)
}

func main() {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[1]}, DialTimeout: 5 * time.Second})
	must(err, "connect")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	key := "/microservices/go-user/g1"
	value := `{"id":"g1","name":"go-user","version":"v1","metadata":null,"endpoints":["http://127.0.0.1:7001"]}`

	watch := client.Watch(ctx, "/microservices/go-user", clientv3.WithPrefix())
	must(client.RequestProgress(ctx), "progress request")
	lease, err := client.Grant(ctx, 5)
	must(err, "grant")
	alive, err := client.KeepAlive(ctx, lease.ID)
	must(err, "keepalive")
	if answer := <-alive; answer == nil || answer.TTL != 5 {
		must(fmt.Errorf("no answer"), "keepalive answer")
	}
	_, err = client.Put(ctx, key, value, clientv3.WithLease(lease.ID))
	must(err, "put")
	for seen := false; !seen; {
		select {
		case response := <-watch:
			must(response.Err(), "watch response")
			for _, event := range response.Events {
				seen = seen || (event.Type == clientv3.EventTypePut && string(event.Kv.Key) == key)
			}
		case <-ctx.Done():
			must(ctx.Err(), "watch")
		}
	}
	got, err := client.Get(ctx, "/microservices/go-user", clientv3.WithPrefix())
	must(err, "range")
	if len(got.Kvs) != 1 || got.Kvs[0].Lease != int64(lease.ID) {
		must(fmt.Errorf("%v", got.Kvs), "one key")
	}
	txn, err := client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, value)).Else(clientv3.OpGet(key)).Commit()
	must(err, "txn")
	if txn.Succeeded || len(txn.Responses) != 1 {
		must(fmt.Errorf("%v", txn), "txn took the other branch")
	}
	ttl, err := client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
	must(err, "time to live")
	if len(ttl.Keys) != 1 {
		must(fmt.Errorf("%v", ttl), "attached keys")
	}
	members, err := client.MemberList(ctx)
	must(err, "member list")
	fmt.Println("member", members.Members[0].ClientURLs[0])
	status, err := client.Status(ctx, os.Args[1])
	must(err, "status")
	fmt.Println("version", status.Version)

	session, err := concurrency.NewSession(client, concurrency.WithTTL(5))
	must(err, "session")
	mutex := concurrency.NewMutex(session, "/lock")
	must(mutex.Lock(ctx), "lock")
	must(mutex.Unlock(ctx), "unlock")
	election := concurrency.NewElection(session, "/election")
	must(election.Campaign(ctx, "me"), "campaign")
	must(election.Resign(ctx), "resign")
	must(session.Close(), "close session")
	_, err = client.Revoke(ctx, lease.ID)
	must(err, "revoke")
	fmt.Println("done")
}
