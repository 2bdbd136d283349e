// SPDX-License-Identifier: Apache-2.0
// consul_watch.go PORT SECONDS: HashiCorp's first Go client registers a service, reads what it can,
// and then watches everything that Consul's watch plans watch, each in a loop of its own that asks
// again as soon as it is answered and waits five seconds after an error, as the plans do. The last
// line of output is JSON: what it read, and requests of each watch.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/armon/consul-api"
)

const retry = 5 * time.Second

type plan struct {
	name string
	ask  func(options *consulapi.QueryOptions) (*consulapi.QueryMeta, error)
}

func plans(client *consulapi.Client) []plan {
	health, catalog := client.Health(), client.Catalog()
	type options = *consulapi.QueryOptions
	type meta = *consulapi.QueryMeta
	return []plan{
		{"services", func(o options) (m meta, err error) { _, m, err = catalog.Services(o); return }},
		{"nodes", func(o options) (m meta, err error) { _, m, err = catalog.Nodes(o); return }},
		{"node", func(o options) (m meta, err error) { _, m, err = catalog.Node("nowhere", o); return }},
		{"catalog", func(o options) (m meta, err error) { _, m, err = catalog.Service("hello", "", o); return }},
		{"service", func(o options) (m meta, err error) { _, m, err = health.Service("hello", "", true, o); return }},
		{"unknown", func(o options) (m meta, err error) { _, m, err = health.Service("nobody", "", true, o); return }},
		{"checks", func(o options) (m meta, err error) { _, m, err = health.Checks("hello", o); return }},
		{"state", func(o options) (m meta, err error) { _, m, err = health.State("any", o); return }},
		{"key", func(o options) (m meta, err error) { _, m, err = client.KV().Get("x", o); return }},
		{"keyprefix", func(o options) (m meta, err error) { _, m, err = client.KV().List("x/", o); return }},
		{"event", func(o options) (m meta, err error) { _, m, err = client.Event().List("", o); return }},
	}
}

func watch(one plan, until time.Time, count *int64) {
	var index uint64
	for time.Now().Before(until) {
		atomic.AddInt64(count, 1)
		meta, err := one.ask(&consulapi.QueryOptions{WaitIndex: index, WaitTime: time.Second})
		if err != nil {
			time.Sleep(retry)
			continue
		}
		index = meta.LastIndex
	}
}

func main() {
	config := consulapi.DefaultConfig()
	config.Address = "127.0.0.1:" + os.Args[1]
	client, err := consulapi.NewClient(config)
	seconds, _ := strconv.Atoi(os.Args[2])
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	must(err)
	agent := client.Agent()
	service := consulapi.AgentServiceRegistration{ID: "go-1", Name: "go", Port: 7000}
	service.Check = &consulapi.AgentServiceCheck{TTL: "30s"}
	must(agent.ServiceRegister(&service))
	must(agent.PassTTL("service:go-1", "well"))
	must(agent.CheckRegister(&consulapi.AgentCheckRegistration{
		Name: "disk", AgentServiceCheck: consulapi.AgentServiceCheck{TTL: "30s"}}))
	withCheck, _, err := client.Health().Service("go", "", true, nil)
	must(err)
	must(agent.PassTTL("disk", "empty"))
	passing, _, err := client.Health().Service("go", "", true, nil)
	must(err)
	must(agent.CheckDeregister("disk"))
	self, err := agent.NodeName()
	must(err)
	node, _, err := client.Catalog().Node(self, nil)
	must(err)
	_, _, missing := client.KV().Get("x", nil)

	counts := map[string]*int64{}
	var running sync.WaitGroup
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	for _, one := range plans(client) {
		one, count := one, new(int64)
		counts[one.name] = count
		running.Add(1)
		go func() { watch(one, until, count); running.Done() }()
	}
	running.Wait()
	must(agent.ServiceDeregister("go-1"))
	text, _ := json.Marshal(map[string]interface{}{
		"before": len(withCheck), "passing": len(passing), "services": len(node.Services),
		"missing": fmt.Sprint(missing), "requests": counts,
	})
	fmt.Println(string(text))
}
