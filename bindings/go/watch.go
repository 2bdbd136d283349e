// SPDX-License-Identifier: Apache-2.0

package outrider

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"reflect"
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	silence  = 60 * time.Second // the agent sends a comment every 25 s
	settle   = 3 * time.Second  // an agent that has just started does not know its neighbours yet
	retry    = 100 * time.Millisecond
	retryMax = 2 * time.Second
)

// Watcher follows the instances of a service, or of all services, through restarts of the agent.
type Watcher struct {
	client  *Client
	service string
	filter  Filter
	cancel  context.CancelFunc
	news    chan struct{} // holds one token while there is a list that Next has not returned
	done    chan struct{}

	mutex     sync.Mutex
	known     map[string]Instance // by service and id, whether wanted or not
	missing   map[string]Instance // of known: not in the first list of a restarted agent
	settling  *time.Timer
	agent     string // which run of an agent sent the last snapshot
	reported  []Instance
	hasBegun  bool
	err       error // why it has ended, or why it is not connected now
	socket    string
	lastEvent string // the revision to resume from on this socket
}

// Watch follows a service, or all services if the name is empty. It begins to connect at once, and
// tries again until it is closed.
func (c *Client) Watch(service string, filter Filter) *Watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watcher{client: c, service: service, filter: filter, cancel: cancel,
		news: make(chan struct{}, 1), done: make(chan struct{}), known: map[string]Instance{}}
	go w.run(ctx)
	return w
}

// Next returns the whole list as soon as it is not empty, and after every change. If there have been
// several changes, it is the latest list. After Close the error is ErrClosed; any other error but
// that of the context means that the agent refuses the watch.
func (w *Watcher) Next(ctx context.Context) ([]Instance, error) {
	select {
	case <-w.news:
		w.mutex.Lock()
		defer w.mutex.Unlock()
		return append([]Instance(nil), w.reported...), nil
	case <-w.done:
		return nil, w.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Instances returns the list as it is now.
func (w *Watcher) Instances() []Instance {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.wanted()
}

// Err returns why the watcher has ended, or why it is not connected at present; else nil.
func (w *Watcher) Err() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.err
}

// Close ends the watcher. Legal twice.
func (w *Watcher) Close() {
	w.cancel()
	<-w.done
}

func (w *Watcher) setErr(err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.err = err
}

func (w *Watcher) run(ctx context.Context) {
	defer close(w.done)
	defer w.cancel()
	pause := retry
	for {
		body, err := w.connect(ctx)
		if err == nil {
			w.setErr(nil)
			pause = retry
			err = w.follow(body)
		}
		if ctx.Err() != nil {
			w.setErr(ErrClosed)
			return
		}
		w.setErr(err)
		var refused *Error
		if errors.As(err, &refused) && refused.isFinal() {
			return
		}
		timer := time.NewTimer(time.Duration(float64(pause) * (0.75 + rand.Float64()/2)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if pause *= 2; pause > retryMax {
			pause = retryMax
		}
	}
}

// isFinal reports whether the same request would be refused again.
func (e *Error) isFinal() bool {
	isBusy := e.Status == http.StatusTooManyRequests || e.Status >= 500
	return e.kind == ErrRefused && !isBusy || e.Status != 0 && !isBusy
}

func (w *Watcher) connect(ctx context.Context) (io.ReadCloser, error) {
	found, err := findSockets(w.client.Socket)
	if err != nil {
		return nil, err
	}
	target := "http://agent/v1/outrider/watch"
	if w.service != "" {
		target += "/" + url.PathEscape(w.service)
	}
	var last error
	var lastSocket string
	for index, socket := range found.sockets {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return nil, &Error{Text: err.Error(), kind: ErrRefused, cause: err}
		}
		// Revisions are those of one agent.
		if socket == w.socket && w.lastEvent != "" {
			request.Header.Set("Last-Event-ID", w.lastEvent)
		}
		transport := transportOf(socket)
		transport.ResponseHeaderTimeout = agentAfter
		if index+1 < len(found.sockets) {
			transport.ResponseHeaderTimeout = otherAgentAfter
		}
		response, err := transport.RoundTrip(request)
		if err == nil && response.StatusCode == http.StatusOK {
			w.socket = socket
			return response.Body, nil
		}
		if err == nil {
			text, _ := io.ReadAll(response.Body)
			response.Body.Close()
			return nil, refusal(response.StatusCode, text)
		}
		last, lastSocket = err, socket
	}
	return nil, noAgent(found, lastSocket, last)
}

// follow reads server-sent events until the stream ends.
func (w *Watcher) follow(body io.ReadCloser) error {
	defer body.Close()
	alarm := time.AfterFunc(silence, func() { body.Close() })
	defer alarm.Stop()
	reader := bufio.NewReader(body)
	var event, id string
	var data [][]byte
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			return &Error{Text: "the agent closed the connection", kind: ErrNoAgent, cause: err}
		}
		alarm.Reset(silence)
		field, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) > 1 && string(field) == "event":
			event = string(value)
		case len(line) > 1 && string(field) == "id":
			id = string(value)
		case len(line) > 1 && string(field) == "data":
			data = append(data, value)
		case len(line) == 1:
			if err := w.take(event, id, bytes.Join(data, []byte("\n"))); err != nil {
				return err
			}
			event, id, data = "", "", nil
		}
	}
}

type change struct {
	Kind     string
	Instance Instance
}

func (w *Watcher) take(event, id string, data []byte) error {
	var news struct {
		Agent     string
		Instances []Instance
		Changes   []change
	}
	if event != "snapshot" && event != "change" {
		return nil
	}
	if err := json.Unmarshal(data, &news); err != nil {
		return &Error{Text: "the agent's stream: " + err.Error(), kind: ErrNoAgent, cause: err}
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if event == "snapshot" {
		w.takeSnapshot(news.Agent, news.Instances)
	}
	w.takeChanges(news.Changes)
	if id != "" {
		w.lastEvent = id
	}
	return nil
}

func (w *Watcher) takeSnapshot(agent string, instances []Instance) {
	w.missing = map[string]Instance{}
	for key, instance := range w.known {
		w.missing[key] = instance
	}
	var changes []change
	for _, instance := range instances {
		key := keyOf(&instance)
		old, had := w.missing[key]
		delete(w.missing, key)
		if had && sameInstance(old, instance) {
			w.known[key] = instance
		} else {
			changes = append(changes, change{"added", instance})
		}
	}
	wasRestarted := agent != w.agent && len(w.missing) > 0
	w.agent = agent
	w.takeChanges(changes)
	if !wasRestarted {
		w.forgetMissing()
		return
	}
	if w.settling != nil {
		w.settling.Stop()
	}
	w.settling = time.AfterFunc(settle, func() {
		w.mutex.Lock()
		defer w.mutex.Unlock()
		w.forgetMissing()
	})
}

func (w *Watcher) forgetMissing() {
	var changes []change
	for _, instance := range w.missing {
		changes = append(changes, change{"removed", instance})
	}
	w.takeChanges(changes)
}

func (w *Watcher) takeChanges(changes []change) {
	concerns := false
	for _, change := range changes {
		key := keyOf(&change.Instance)
		old, had := w.known[key]
		concerns = concerns || had && w.filter.wants(&old)
		delete(w.missing, key)
		if change.Kind == "removed" {
			delete(w.known, key)
			continue
		}
		w.known[key] = change.Instance
		concerns = concerns || w.filter.wants(&change.Instance)
	}
	if concerns {
		w.report()
	}
}

func (w *Watcher) report() {
	w.reported = w.wanted()
	if len(w.reported) == 0 && !w.hasBegun {
		return
	}
	w.hasBegun = true
	select {
	case w.news <- struct{}{}:
	default: // Next has not returned the one before
	}
}

func (w *Watcher) wanted() []Instance {
	list := []Instance{}
	for _, instance := range w.known {
		if w.filter.wants(&instance) {
			list = append(list, instance)
		}
	}
	sort.Slice(list, func(i, j int) bool { return keyOf(&list[i]) < keyOf(&list[j]) })
	return list
}

func keyOf(instance *Instance) string {
	return strings.Join([]string{instance.Service, instance.ID}, "\x00")
}

// sameInstance compares what does not change when an agent is restarted.
func sameInstance(x, y Instance) bool {
	y.Revision, y.Registered, y.Changed, y.Checks = x.Revision, x.Registered, x.Changed, x.Checks
	return reflect.DeepEqual(x, y)
}
