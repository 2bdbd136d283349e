// SPDX-License-Identifier: Apache-2.0

// lookup NAME...: as lookup.c, with Go's own resolver; names with an underscore are asked for SRV.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func lookUp(name, which string) {
	resolver := net.Resolver{PreferGo: true}
	texts := []string{}
	begun := time.Now()
	var failed error
	if which == "srv" {
		var found []*net.SRV
		_, found, failed = resolver.LookupSRV(context.Background(), "", "", name)
		for _, one := range found {
			texts = append(texts, fmt.Sprintf("%s:%d", strings.TrimSuffix(one.Target, "."), one.Port))
		}
	} else {
		network := map[string]string{"4": "ip4", "6": "ip6", "any": "ip"}[which]
		var found []net.IP
		found, failed = resolver.LookupIP(context.Background(), network, name)
		for _, one := range found {
			texts = append(texts, one.String())
		}
	}
	spent := time.Since(begun).Milliseconds()
	if failed != nil {
		texts = []string{"!", failed.Error()}
	}
	fmt.Println(name, which, spent, strings.Join(texts, " "))
}

func main() {
	for _, name := range os.Args[1:] {
		if strings.HasPrefix(name, "_") {
			lookUp(name, "srv")
			continue
		}
		for _, which := range []string{"4", "6", "any"} {
			lookUp(name, which)
		}
	}
}
