// SPDX-License-Identifier: Apache-2.0

// find [NAME]: waits for a service, calls it, and then prints its instances as they change.
package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"outrider"
)

func main() {
	log.SetFlags(0)
	name := "hello"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	client := &outrider.Client{}
	ctx := context.Background()

	patience, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if _, err := client.Wait(patience, name, 1, outrider.Filter{}); err != nil {
		log.Fatal(err)
	}
	url, err := client.URL(ctx, name, "", outrider.Selection{Strategy: outrider.P2C})
	if err != nil {
		log.Fatal(err)
	}
	response, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	page, _ := io.ReadAll(response.Body)
	response.Body.Close()
	log.Printf("%s: %s", url, strings.TrimSpace(string(page)))

	watcher := client.Watch(name, outrider.Filter{Healthy: true})
	defer watcher.Close()
	for {
		instances, err := watcher.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		ids := []string{}
		for _, instance := range instances {
			ids = append(ids, instance.ID)
		}
		if len(ids) == 0 {
			ids = append(ids, "nobody")
		}
		log.Printf("%s: %s", name, strings.Join(ids, " "))
	}
}
