// SPDX-License-Identifier: Apache-2.0

// Calls the package outrider as the lines of its standard input say (see binding_contract.py).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"sort"
	"sync"
	"time"

	"outrider"
)

type arguments struct {
	Service   outrider.Service
	TTL       *int `json:"ttl_ms"`
	Health    outrider.Health
	Note      string
	Reg       int
	On        bool
	Reason    string
	Name      string
	Filter    outrider.Filter
	Strategy  outrider.Strategy
	Key       string
	Scheme    string
	ID        string
	Watch     int
	Count     int
	TimeoutMs int `json:"timeout_ms"`
}

var (
	client        = &outrider.Client{}
	mutex         sync.Mutex
	registrations []*outrider.Registration
	watchers      []*outrider.Watcher
	output        = json.NewEncoder(os.Stdout)
)

type object = map[string]any

func print(value any) {
	mutex.Lock()
	defer mutex.Unlock()
	output.Encode(value)
}

func short(instances []outrider.Instance) []string {
	list := []string{}
	for _, instance := range instances {
		list = append(list, instance.ID+":"+string(instance.Health))
	}
	sort.Strings(list)
	return list
}

func follow(watcher *outrider.Watcher, number int) {
	for {
		instances, err := watcher.Next(context.Background())
		if errors.Is(err, outrider.ErrClosed) {
			print(object{"event": "end", "watch": number})
			return
		}
		if err != nil {
			print(object{"event": "failed", "watch": number, "text": err.Error()})
			return
		}
		print(object{"event": "list", "watch": number, "list": short(instances)})
	}
}

func register(ctx context.Context, a arguments) (any, error) {
	options := outrider.RegisterOptions{
		Health:     a.Health,
		OnLost:     func(err error) { print(object{"event": "lost", "text": err.Error()}) },
		OnRestored: func(id string) { print(object{"event": "restored", "id": id}) },
	}
	if a.TTL != nil {
		if options.TTL = time.Duration(*a.TTL) * time.Millisecond; *a.TTL < 0 {
			options.TTL = outrider.NoTTL
		}
	}
	registration, err := client.Register(ctx, a.Service, options)
	if err != nil {
		return nil, err
	}
	registrations = append(registrations, registration)
	return registration.ID(), nil
}

func call(ctx context.Context, name string, a arguments) (any, error) {
	switch name {
	case "register":
		return register(ctx, a)
	case "set_health":
		return nil, registrations[a.Reg].SetHealth(ctx, a.Health, a.Note)
	case "set_maintenance":
		return nil, registrations[a.Reg].SetMaintenance(ctx, a.On, a.Reason)
	case "set_draining":
		return nil, registrations[a.Reg].SetDraining(ctx, a.On)
	case "deregister":
		return nil, registrations[a.Reg].Deregister(ctx)
	case "get":
		instances, err := client.Get(ctx, a.Name, a.Filter)
		return short(instances), err
	case "list":
		services, err := client.List(ctx, "", outrider.Filter{})
		list := [][]any{}
		for _, service := range services {
			list = append(list, []any{service.Name, service.Instances, service.Served})
		}
		return list, err
	case "snapshot":
		snapshot, err := client.Snapshot(ctx, outrider.Filter{})
		if err != nil {
			return nil, err
		}
		return object{"revision": snapshot.Revision, "instances": short(snapshot.Instances)}, nil
	case "select":
		how := outrider.Selection{Strategy: a.Strategy, Key: a.Key}
		selected, err := client.Select(ctx, a.Name, how)
		if err != nil {
			return nil, err
		}
		return []string{selected.Endpoint, selected.Instance.ID}, nil
	case "url":
		return client.URL(ctx, a.Name, a.Scheme, outrider.Selection{})
	case "why":
		why, err := client.Why(ctx, a.Name)
		if err != nil {
			return nil, err
		}
		return why.Summary, nil
	case "manifest":
		text, err := client.Manifest(ctx, a.ID)
		manifest := map[string]json.RawMessage{}
		json.Unmarshal(text, &manifest)
		keys := []string{}
		for key := range manifest {
			keys = append(keys, key)
		}
		sort.Strings(keys)
		return keys, err
	case "watch":
		watchers = append(watchers, client.Watch(a.Name, a.Filter))
		go follow(watchers[len(watchers)-1], len(watchers)-1)
		return len(watchers) - 1, nil
	case "unwatch":
		watchers[a.Watch].Close()
		return nil, nil
	case "wait":
		limited, cancel := context.WithTimeout(ctx, time.Duration(a.TimeoutMs)*time.Millisecond)
		defer cancel()
		instances, err := client.Wait(limited, a.Name, a.Count, outrider.Filter{})
		return short(instances), err
	}
	log.Fatal("unknown call: ", name)
	return nil, nil
}

func kind(err error) string {
	for kind, text := range map[error]string{
		outrider.ErrNoAgent: "NO_AGENT", outrider.ErrNotPermitted: "NOT_PERMITTED",
		outrider.ErrNotFound: "NOT_FOUND", outrider.ErrRefused: "REFUSED",
		outrider.ErrTimeout: "TIMEOUT", outrider.ErrClosed: "CLOSED",
	} {
		if errors.Is(err, kind) {
			return text
		}
	}
	return "OTHER"
}

func main() {
	print(object{"event": "ready"})
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var line struct {
			N    int
			Call string
			Args arguments
		}
		if err := json.Unmarshal(input.Bytes(), &line); err != nil {
			log.Fatal(err)
		}
		answer := func() {
			value, err := call(context.Background(), line.Call, line.Args)
			if err != nil {
				print(object{"n": line.N, "kind": kind(err), "text": err.Error()})
				return
			}
			print(object{"n": line.N, "ok": value})
		}
		if line.Call == "wait" {
			go answer()
		} else {
			answer()
		}
	}
}
