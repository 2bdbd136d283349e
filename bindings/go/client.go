// SPDX-License-Identifier: Apache-2.0

// Package outrider registers services with the Outrider agent of this host, finds services, and
// follows changes, over the agent's Unix socket.
//
// A Client has no state and needs no closing: each call looks for the agent anew, so that the agent
// may be restarted at any time. All methods may be called from several goroutines.
package outrider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Client talks to the agent of this host. The zero Client is ready to use.
type Client struct {
	// Socket is the path of the agent's socket; empty: found as outrider(1) finds it.
	Socket string
}

// Request makes any request of outrider-api(7). The body is sent as JSON unless it is nil, and the
// answer is parsed into answer unless that is nil.
func (c *Client) Request(ctx context.Context, method, target string, body, answer any) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return err
		}
	}
	text, err := ask(ctx, c.Socket, method, target, sent)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

func (c *Client) read(ctx context.Context, path string, query url.Values, answer any) error {
	return c.Request(ctx, http.MethodGet, targetOf(path, query), nil, answer)
}

func (c *Client) change(ctx context.Context, path string, query url.Values) error {
	return c.Request(ctx, http.MethodPut, targetOf(path, query), nil, nil)
}

// Deregister deregisters an instance of any program that has registered with the agent.
func (c *Client) Deregister(ctx context.Context, id string) error {
	return c.change(ctx, "/v1/outrider/deregister/"+url.PathEscape(id), nil)
}

// SetHealth reports Passing, Warning or Critical for an instance with one TTL check, or for a check
// that /v1/outrider/checks lists. The note is for people.
func (c *Client) SetHealth(ctx context.Context, id string, health Health, note string) error {
	verb, known := map[Health]string{Passing: "pass", Warning: "warn", Critical: "fail"}[health]
	if !known {
		text := fmt.Sprintf("health must be passing, warning or critical, not %q", health)
		return &Error{Text: text, kind: ErrRefused}
	}
	query := url.Values{}
	if note != "" {
		query.Set("note", note)
	}
	return c.change(ctx, "/v1/outrider/check/"+verb+"/"+url.PathEscape(id), query)
}

// SetMaintenance puts an instance into maintenance, or back into service. The reason is for people.
func (c *Client) SetMaintenance(ctx context.Context, id string, on bool, reason string) error {
	query := url.Values{"enable": {strconv.FormatBool(on)}}
	if reason != "" {
		query.Set("reason", reason)
	}
	return c.change(ctx, "/v1/outrider/maintenance/"+url.PathEscape(id), query)
}

// SetDraining drains an instance, or takes it back into service.
func (c *Client) SetDraining(ctx context.Context, id string, on bool) error {
	query := url.Values{"enable": {strconv.FormatBool(on)}}
	return c.change(ctx, "/v1/outrider/drain/"+url.PathEscape(id), query)
}

// Get returns the instances of a service; none if it is unknown.
func (c *Client) Get(ctx context.Context, service string, filter Filter) ([]Instance, error) {
	var answer Snapshot
	path := "/v1/outrider/instances/" + url.PathEscape(service)
	err := c.read(ctx, path, filter.query(), &answer)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return answer.Instances, err
}

// List returns all services whose names begin with prefix, with counts of the instances that the
// filter wants.
func (c *Client) List(ctx context.Context, prefix string, filter Filter) ([]ServiceSummary, error) {
	query := filter.query()
	if prefix != "" {
		query.Set("prefix", prefix)
	}
	var answer struct{ Services []ServiceSummary }
	err := c.read(ctx, "/v1/outrider/services", query, &answer)
	return answer.Services, err
}

// Snapshot returns all instances of all services.
func (c *Client) Snapshot(ctx context.Context, filter Filter) (*Snapshot, error) {
	var answer Snapshot
	if err := c.read(ctx, "/v1/outrider/instances", filter.query(), &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// Selection says how to select.
type Selection struct {
	Filter            // Healthy is implied
	Strategy Strategy // default: RoundRobin
	Key      string   // what ConsistentHash hashes, such as a user's id
}

// Select selects one healthy instance. ErrNotFound with the reason: there is none.
func (c *Client) Select(ctx context.Context, service string, how Selection) (*Selected, error) {
	how.Healthy = false // the route does not take it
	query := how.query()
	if how.Strategy != "" {
		query.Set("strategy", string(how.Strategy))
	}
	if how.Key != "" {
		query.Set("key", how.Key)
	}
	var answer Selected
	path := "/v1/outrider/select/" + url.PathEscape(service)
	if err := c.read(ctx, path, query, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// URL returns the URL of one healthy instance. Its scheme is the instance's protocol unless one is
// given.
func (c *Client) URL(ctx context.Context, service, scheme string, how Selection) (string, error) {
	selected, err := c.Select(ctx, service, how)
	if err != nil {
		return "", err
	}
	if scheme == "" {
		return selected.URL, nil
	}
	return scheme + "://" + selected.Endpoint, nil
}

// Why explains what DNS answers for a name.
func (c *Client) Why(ctx context.Context, name string) (*Explanation, error) {
	var answer Explanation
	err := c.read(ctx, "/v1/outrider/why/"+url.PathEscape(name), nil, &answer)
	if err != nil {
		return nil, err
	}
	return &answer, nil
}

// Manifest returns the FARP manifest of a registration of the agent; with an empty id, of its only
// one.
func (c *Client) Manifest(ctx context.Context, id string) (json.RawMessage, error) {
	query := url.Values{}
	if id != "" {
		query.Set("id", id)
	}
	var answer json.RawMessage
	err := c.read(ctx, "/v1/outrider/farp/manifest", query, &answer)
	return answer, err
}

// Wait waits until a service has so many healthy instances, and returns them. If the context ends
// before, the error is an ErrTimeout that says why there are too few.
func (c *Client) Wait(ctx context.Context, service string, count int,
	filter Filter) ([]Instance, error) {
	filter.Healthy = true
	watcher := c.Watch(service, filter)
	defer watcher.Close()
	for {
		instances, err := watcher.Next(ctx)
		if err != nil && ctx.Err() != nil {
			return nil, c.tooFew(ctx.Err(), watcher, service, count)
		}
		if err != nil || len(instances) >= count {
			return instances, err
		}
	}
}

func (c *Client) tooFew(cause error, watcher *Watcher, service string, count int) error {
	summary := ""
	if err := watcher.Err(); err != nil {
		summary = err.Error()
	} else {
		// The context of the caller has ended.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if why, err := c.Why(ctx, service); err == nil {
			summary = why.Summary
		} else {
			summary = err.Error()
		}
	}
	text := fmt.Sprintf("%d of %d healthy instances of %q in time: %s",
		len(watcher.Instances()), count, service, summary)
	return &Error{Text: text, kind: ErrTimeout, cause: cause}
}
