// SPDX-License-Identifier: Apache-2.0

package outrider

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	renewRetry   = time.Second // while no agent answers
	closeTimeout = 5 * time.Second
	ownCheck     = "program" // the id of the check that Register adds
	// DefaultTTL is how long a registration is served without a heartbeat.
	DefaultTTL = 15 * time.Second
	// NoTTL is for services that are served for ever, or whose checks are enough.
	NoTTL time.Duration = -1
)

// RegisterOptions are optional, as a whole and each.
type RegisterOptions struct {
	TTL    time.Duration // default: DefaultTTL; NoTTL: without heartbeats
	Health Health        // at the beginning; default: Passing
	// OnLost is called when the registration cannot be renewed, which is tried again; OnRestored
	// when it can be renewed after that. They must not block.
	OnLost     func(error)
	OnRestored func(id string)
}

// Registration is an instance that this program has registered. It is renewed until it is
// deregistered or the program ends, and registered again if the agent has lost it. If the program
// dies, the agent takes the instance out of its answers when the TTL is over, and deregisters it a
// minute later.
type Registration struct {
	client  *Client
	options RegisterOptions
	beats   []string // ids of TTL checks
	period  time.Duration
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}
	renewal sync.Mutex // one at a time

	mutex       sync.Mutex
	service     Service
	id          string
	health      Health
	note        string
	maintenance *string // the reason, while it is on
	isDraining  bool
}

// Register registers a service and renews it. The context is that of the call; the registration
// lives until Deregister.
func (c *Client) Register(ctx context.Context, service Service,
	options ...RegisterOptions) (*Registration, error) {
	r := &Registration{client: c, service: service, health: Passing, done: make(chan struct{})}
	if len(options) > 0 {
		r.options = options[0]
	}
	if r.options.Health != "" {
		r.health = r.options.Health
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if err := r.addHeartbeat(); err != nil {
		r.cancel()
		return nil, err
	}
	if err := r.register(ctx, true); err != nil {
		r.cancel()
		if id := r.ID(); id != "" { // its first heartbeat has failed
			c.Deregister(ctx, id)
		}
		return nil, err
	}
	go r.run()
	return r, nil
}

// addHeartbeat gives the service a TTL check, unless it has one or wants none.
func (r *Registration) addHeartbeat() error {
	for _, check := range r.service.Checks {
		if check.TTL != 0 {
			r.beats = append(r.beats, check.ID)
			if ttl := time.Duration(check.TTL); r.period == 0 || ttl/3 < r.period {
				r.period = ttl / 3
			}
		}
	}
	for _, id := range r.beats {
		if id == "" && len(r.beats) > 1 {
			return &Error{Text: "of several TTL checks, each needs an ID", kind: ErrRefused}
		}
	}
	if len(r.beats) > 0 || r.options.TTL == NoTTL {
		return nil
	}
	ttl := r.options.TTL
	if ttl == 0 {
		ttl = DefaultTTL
	}
	own := Check{TTL: Duration(ttl), ID: ownCheck}
	r.service.Checks = append(append([]Check(nil), r.service.Checks...), own)
	r.beats, r.period = []string{ownCheck}, ttl/3
	return nil
}

// ID returns the id of the instance.
func (r *Registration) ID() string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.id
}

// SetHealth reports Passing, Warning or Critical: as the program judges itself. The note is for
// people.
func (r *Registration) SetHealth(ctx context.Context, health Health, note string) error {
	if len(r.beats) == 0 {
		return r.client.SetHealth(ctx, r.ID(), health, note)
	}
	r.mutex.Lock()
	r.health, r.note = health, note
	r.mutex.Unlock()
	return r.Renew(ctx)
}

// Renew sends the heartbeats now; it registers the instance again if the agent does not know it.
func (r *Registration) Renew(ctx context.Context) error {
	r.renewal.Lock()
	defer r.renewal.Unlock()
	if r.ctx.Err() != nil {
		return ErrClosed
	}
	err := r.beat(ctx)
	if errors.Is(err, ErrNotFound) {
		err = r.register(ctx, false)
	}
	return err
}

// SetMaintenance takes the instance out of all answers, or back; the reason is for people.
func (r *Registration) SetMaintenance(ctx context.Context, on bool, reason string) error {
	if err := r.client.SetMaintenance(ctx, r.ID(), on, reason); err != nil {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.maintenance = nil; on {
		r.maintenance = &reason
	}
	return nil
}

// SetDraining takes the instance out of all answers while connections that exist go on, or back.
func (r *Registration) SetDraining(ctx context.Context, on bool) error {
	if err := r.client.SetDraining(ctx, r.ID(), on); err != nil {
		return err
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.isDraining = on
	return nil
}

// Deregister ends the heartbeats, and deregisters the instance. Legal twice.
func (r *Registration) Deregister(ctx context.Context) error {
	if r.ctx.Err() != nil {
		return nil
	}
	r.cancel()
	<-r.done
	r.renewal.Lock()
	defer r.renewal.Unlock()
	err := r.client.Deregister(ctx, r.ID())
	if errors.Is(err, ErrNotFound) { // the agent has evicted it
		return nil
	}
	return err
}

// Close is Deregister within five seconds, for defer.
func (r *Registration) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return r.Deregister(ctx)
}

func (r *Registration) register(ctx context.Context, isFirst bool) error {
	r.mutex.Lock()
	service, health := r.service, r.health
	maintenance, isDraining := r.maintenance, r.isDraining
	r.mutex.Unlock()
	ownBeat := false
	service.Checks = append([]Check(nil), service.Checks...)
	for i := range service.Checks {
		if service.Checks[i].ID == ownCheck {
			service.Checks[i].Initial, ownBeat = health, true
		}
	}
	var answer struct{ Registered []string }
	err := r.client.Request(ctx, "PUT", "/v1/outrider/register", service, &answer)
	if err != nil {
		return err
	}
	if len(answer.Registered) != 1 {
		return &Error{Text: "the agent has returned no id", kind: ErrNoAgent}
	}
	r.mutex.Lock()
	r.id = answer.Registered[0]
	r.mutex.Unlock()
	if !isFirst || !ownBeat {
		if err := r.beat(ctx); err != nil {
			return err
		}
	}
	if maintenance != nil {
		if err := r.SetMaintenance(ctx, true, *maintenance); err != nil {
			return err
		}
	}
	if isDraining {
		return r.SetDraining(ctx, true)
	}
	return nil
}

func (r *Registration) beat(ctx context.Context) error {
	r.mutex.Lock()
	id, health, note := r.id, r.health, r.note
	r.mutex.Unlock()
	for _, check := range r.beats {
		name := id
		if len(r.beats) > 1 {
			name = "service:" + id + ":" + check
		}
		if err := r.client.SetHealth(ctx, name, health, note); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registration) run() {
	defer close(r.done)
	isLost := false
	for next := r.period; len(r.beats) > 0; {
		timer := time.NewTimer(next)
		select {
		case <-r.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err := r.Renew(r.ctx)
		if r.ctx.Err() != nil {
			return
		}
		next = r.period
		if err != nil {
			if next > renewRetry {
				next = renewRetry
			}
			if !isLost && r.options.OnLost != nil {
				r.options.OnLost(err)
			}
		} else if isLost && r.options.OnRestored != nil {
			r.options.OnRestored(r.ID())
		}
		isLost = err != nil
	}
}
