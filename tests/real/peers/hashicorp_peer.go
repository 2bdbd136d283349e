// SPDX-License-Identifier: Apache-2.0

// hashicorp_peer publish ADDRESS TYPE LABEL PORT [KEY=VALUE]...: a service by hashicorp/mdns, until
// SIGTERM. hashicorp_peer browse TYPE: what it finds within its second, a line of JSON each.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/mdns"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func publish(address, service, label, port string, txt []string) {
	number, err := strconv.Atoi(port)
	fail(err)
	zone, err := mdns.NewMDNSService(label, service, "", label+"-go.local.", number,
		[]net.IP{net.ParseIP(address)}, txt)
	fail(err)
	server, err := mdns.NewServer(&mdns.Config{Zone: zone})
	fail(err)
	fmt.Println(`{"event": "registered"}`)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	fail(server.Shutdown())
}

func browse(service string) {
	entries := make(chan *mdns.ServiceEntry, 64)
	fail(mdns.Query(&mdns.QueryParam{Service: service, Timeout: time.Second, Entries: entries}))
	close(entries)
	for entry := range entries {
		txt := map[string]string{}
		for _, field := range entry.InfoFields {
			key, value, _ := strings.Cut(field, "=")
			txt[key] = value
		}
		line, err := json.Marshal(map[string]interface{}{
			"event": "up", "label": strings.TrimSuffix(entry.Name, "."+service+".local."),
			"host": entry.Host, "port": entry.Port, "txt": txt,
			"addresses": []string{entry.AddrV4.String()},
		})
		fail(err)
		fmt.Println(string(line))
	}
}

func main() {
	log.SetOutput(io.Discard)
	if words := os.Args[1:]; len(words) >= 5 && words[0] == "publish" {
		publish(words[1], words[2], words[3], words[4], words[5:])
	} else if len(words) == 2 && words[0] == "browse" {
		browse(words[1])
	} else {
		os.Exit(2)
	}
}
