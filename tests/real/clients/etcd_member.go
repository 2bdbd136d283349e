// SPDX-License-Identifier: Apache-2.0
// A service as the frameworks write it for etcd: it puts its key under a lease that is kept alive, and watches the
// others. When its lease is lost it registers again, when its watch ends it watches again, each after a second.
// Usage: etcd_member ENDPOINT KEY VALUE TTL PREFIX
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"go.etcd.io/etcd/clientv3"
)

func register(client *clientv3.Client, key, value string, ttl int64) error {
	lease, err := client.Grant(context.Background(), ttl)
	if err != nil {
		return err
	}
	if _, err = client.Put(context.Background(), key, value, clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	alive, err := client.KeepAlive(context.Background(), lease.ID)
	if err != nil {
		return err
	}
	fmt.Println("registered")
	for answer := range alive {
		fmt.Println("alive", answer.TTL)
	}
	return fmt.Errorf("the lease was lost")
}

func watch(client *clientv3.Client, prefix string) error {
	got, err := client.Get(context.Background(), prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, kv := range got.Kvs {
		fmt.Println("HAS", string(kv.Key))
	}
	fmt.Println("watching")
	from := clientv3.WithRev(got.Header.Revision + 1)
	for response := range client.Watch(context.Background(), prefix, clientv3.WithPrefix(), from) {
		if response.Err() != nil {
			return response.Err()
		}
		for _, event := range response.Events {
			fmt.Println(event.Type, string(event.Kv.Key))
		}
	}
	return fmt.Errorf("the watch has ended")
}

func again(what string, run func() error) {
	for {
		fmt.Println(what, run())
		time.Sleep(time.Second)
	}
}

func main() {
	ttl, _ := strconv.ParseInt(os.Args[4], 10, 64)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[1]}, DialTimeout: 5 * time.Second})
	if err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
	go again("register:", func() error { return register(client, os.Args[2], os.Args[3], ttl) })
	again("watch:", func() error { return watch(client, os.Args[5]) })
}
