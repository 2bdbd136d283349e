// SPDX-License-Identifier: Apache-2.0

// serve [NAME]: serves HTTP on a free port, and registers itself until it is stopped.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"outrider"
)

func main() {
	log.SetFlags(0)
	name := "hello"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	host, _ := os.Hostname()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Hello from %s, process %d.\n", host, os.Getpid())
	})}
	go server.Serve(listener)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	registration, err := new(outrider.Client).Register(ctx, outrider.Service{
		Name:     name,
		Port:     listener.Addr().(*net.TCPAddr).Port,
		Metadata: map[string]string{"language": "go"},
	}, outrider.RegisterOptions{
		OnLost:     func(err error) { log.Print("not renewed: ", err) },
		OnRestored: func(id string) { log.Print("registered again: ", id) },
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Print("registered: ", registration.ID())

	<-ctx.Done()
	registration.Close() // first, so that clients are not sent here any more
	ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	server.Shutdown(ending)
	log.Print("deregistered")
}
