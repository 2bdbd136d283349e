// SPDX-License-Identifier: Apache-2.0

// Writes and reads entries of frameworks with etcd's own Go client, as their registries do.
//
//	etcd_client write URL ADDRESS   one instance in each layout, under leases that it keeps alive;
//	                                SIGTERM revokes them
//	etcd_client read URL SERVICE    the endpoints of SERVICE, a line for each layout
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
)

// Kratos: registry.ServiceInstance.
type kratos struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Metadata  map[string]string `json:"metadata"`
	Endpoints []string          `json:"endpoints"`
}

// GoFrame: the metadata of a gsvc.Service.
type goframe map[string]interface{}

// Forge: a registration.
type forge struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"`
	Version       string            `json:"version"`
	Address       string            `json:"address"`
	Port          int               `json:"port"`
	Tags          []string          `json:"tags"`
	Metadata      map[string]string `json:"metadata"`
	Status        string            `json:"status"`
	LastHeartbeat int64             `json:"last_heartbeat"`
}

func need(err error) {
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

func text(value interface{}) string {
	bytes, err := json.Marshal(value)
	need(err)
	return string(bytes)
}

// A lease of its own for each entry, kept alive by the client library.
func keep(client *clientv3.Client, key func(lease clientv3.LeaseID) string, value string) func() {
	lease, err := client.Grant(context.Background(), 15)
	need(err)
	_, err = client.Put(context.Background(), key(lease.ID), value, clientv3.WithLease(lease.ID))
	need(err)
	alive, err := client.KeepAlive(context.Background(), lease.ID)
	need(err)
	go func() {
		for range alive {
		}
	}()
	return func() {
		_, err := client.Revoke(context.Background(), lease.ID)
		need(err)
	}
}

func write(client *clientv3.Client, address string) {
	at := func(key string) func(clientv3.LeaseID) string {
		return func(clientv3.LeaseID) string { return key }
	}
	revokes := []func(){
		keep(client, at("/microservices/go-kratos/g1"), text(kratos{ID: "g1", Name: "go-kratos", Version: "v1",
			Endpoints: []string{"http://" + address + ":80", "grpc://" + address + ":90"}})),
		keep(client, at("/service/default/default/go-goframe/latest/"+address+":81"),
			text(goframe{"protocol": "http", "insecure": true, "weight": 100})),
		keep(client, at("/services/go-forge/g1"), text(forge{ID: "g1", Name: "go-forge", Version: "1", Address: address,
			Port: 82, Status: "passing", LastHeartbeat: time.Now().Unix()})),
		keep(client, func(lease clientv3.LeaseID) string { return fmt.Sprintf("go.rpc/%d", lease) }, address+":83"),
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	fmt.Println("written")
	<-end
	for _, revoke := range revokes {
		revoke()
	}
}

func read(client *clientv3.Client, service string) {
	each := func(prefix string, show func(key string, value []byte)) {
		found, err := client.Get(context.Background(), prefix, clientv3.WithPrefix())
		need(err)
		for _, kv := range found.Kvs {
			show(string(kv.Key), kv.Value)
		}
	}
	each("/microservices/"+service+"/", func(key string, value []byte) {
		var instance kratos
		need(json.Unmarshal(value, &instance))
		if key != "/microservices/"+instance.Name+"/"+instance.ID {
			fmt.Println("error", key, instance)
		}
		fmt.Println("kratos", strings.Join(instance.Endpoints, " "))
	})
	each("/service/default/default/"+service+"/latest/", func(key string, value []byte) {
		var metadata goframe
		need(json.Unmarshal(value, &metadata))
		fmt.Println("goframe", fmt.Sprint(metadata["protocol"])+"://"+key[strings.LastIndex(key, "/")+1:])
	})
	each("/services/"+service+"/", func(_ string, value []byte) {
		var registration forge
		need(json.Unmarshal(value, &registration))
		fmt.Printf("forge %s %s:%d\n", registration.Status, registration.Address, registration.Port)
	})
	each(service+".rpc/", func(_ string, value []byte) { fmt.Println("gozero", string(value)) })
}

func main() {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[2]}, DialTimeout: 5 * time.Second})
	need(err)
	if os.Args[1] == "write" {
		write(client, os.Args[3])
	} else {
		read(client, os.Args[3])
	}
}
