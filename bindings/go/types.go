// SPDX-License-Identifier: Apache-2.0

package outrider

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Health of an instance.
type Health string

// A program judges itself Passing, Warning or Critical; the agent knows the others.
const (
	Starting    Health = "starting"
	Passing     Health = "passing"
	Warning     Health = "warning"
	Critical    Health = "critical"
	Draining    Health = "draining"
	Maintenance Health = "maintenance"
)

// Strategy is how Select selects.
type Strategy string

const (
	RoundRobin       Strategy = "round_robin"
	Random           Strategy = "random"
	Weighted         Strategy = "weighted"
	LeastConnections Strategy = "least_connections"
	P2C              Strategy = "p2c"
	ConsistentHash   Strategy = "consistent_hash" // needs Selection's Key
)

// Duration is a time.Duration in the form of the configuration.
type Duration time.Duration

// MarshalJSON writes whole milliseconds, such as "1500ms".
func (d Duration) MarshalJSON() ([]byte, error) {
	return json.Marshal(fmt.Sprintf("%dms", time.Duration(d).Milliseconds()))
}

// UnmarshalJSON reads a duration of the configuration, such as "1m30s" or "1d".
func (d *Duration) UnmarshalJSON(text []byte) error {
	var written string
	if err := json.Unmarshal(text, &written); err != nil {
		return err
	}
	var days int64
	if before, after, found := strings.Cut(written, "d"); found {
		var err error
		if days, err = strconv.ParseInt(before, 10, 32); err != nil {
			return fmt.Errorf("expected a duration such as \"10s\", not %q", written)
		}
		if written = after; written == "" {
			written = "0s"
		}
	}
	rest, err := time.ParseDuration(written)
	*d = Duration(time.Duration(days)*24*time.Hour + rest)
	return err
}

// Service is a service to register, as in outrider.json(5). What is left out has its default there.
type Service struct {
	Name     string            `json:"name"`
	ID       string            `json:"id,omitempty"`
	Version  string            `json:"version,omitempty"`
	Port     int               `json:"port,omitempty"`
	Address  []string          `json:"address,omitempty"`
	Protocol string            `json:"protocol,omitempty"`
	Tags     []string          `json:"tags,omitempty"`
	Subtypes []string          `json:"subtypes,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Weight   *int              `json:"weight,omitempty"`
	Scope    string            `json:"scope,omitempty"`
	Checks   []Check           `json:"checks,omitempty"`
	FARP     *FARP             `json:"farp,omitempty"`
	// Whether NAME.local is to lead to its host.
	LocalName bool `json:"local_name,omitempty"`
}

// Check is a health check that the agent makes: HTTP, TCP, GRPC or Alias; or TTL, which waits for
// heartbeats.
type Check struct {
	HTTP                    string            `json:"http,omitempty"`
	TCP                     string            `json:"tcp,omitempty"`
	GRPC                    *string           `json:"grpc,omitempty"`
	TTL                     Duration          `json:"ttl,omitempty"`
	Alias                   string            `json:"alias,omitempty"`
	ID                      string            `json:"id,omitempty"`
	Name                    string            `json:"name,omitempty"`
	Notes                   string            `json:"notes,omitempty"`
	Target                  string            `json:"target,omitempty"`
	UnixSocket              string            `json:"unix_socket,omitempty"`
	Host                    string            `json:"host,omitempty"`
	Method                  string            `json:"method,omitempty"`
	Headers                 map[string]string `json:"headers,omitempty"`
	Body                    string            `json:"body,omitempty"`
	ExpectStatus            []int             `json:"expect_status,omitempty"`
	ExpectBody              string            `json:"expect_body,omitempty"`
	ExpectHeader            map[string]string `json:"expect_header,omitempty"`
	Reuse                   bool              `json:"reuse,omitempty"`
	TLS                     *TLS              `json:"tls,omitempty"`
	Interval                Duration          `json:"interval,omitempty"`
	Timeout                 Duration          `json:"timeout,omitempty"`
	StartInterval           Duration          `json:"start_interval,omitempty"`
	StartTimeout            *Duration         `json:"start_timeout,omitempty"`
	EdgeInterval            Duration          `json:"edge_interval,omitempty"`
	SuccessBeforePassing    int               `json:"success_before_passing,omitempty"`
	FailuresBeforeWarning   int               `json:"failures_before_warning,omitempty"`
	FailuresBeforeCritical  int               `json:"failures_before_critical,omitempty"`
	RefusedIsCritical       bool              `json:"refused_is_critical,omitempty"`
	DeregisterCriticalAfter *Duration         `json:"deregister_critical_after,omitempty"`
	Initial                 Health            `json:"initial,omitempty"`
}

// TLS says how a check uses TLS.
type TLS struct {
	Verify     *bool  `json:"verify,omitempty"`
	CA         string `json:"ca,omitempty"`
	ServerName string `json:"server_name,omitempty"`
	Cert       string `json:"cert,omitempty"`
	Key        string `json:"key,omitempty"`
}

// FARP is what is published to gateways.
type FARP struct {
	OpenAPI        string   `json:"openapi,omitempty"`
	AsyncAPI       string   `json:"asyncapi,omitempty"`
	GraphQL        string   `json:"graphql,omitempty"`
	GRPCReflection bool     `json:"grpc_reflection,omitempty"`
	Capabilities   []string `json:"capabilities,omitempty"`
	Strategy       string   `json:"strategy,omitempty"`
	Health         string   `json:"health,omitempty"`
}

// Instance is one endpoint of a service.
type Instance struct {
	ID                string            `json:"id"`
	Service           string            `json:"service"`
	Version           string            `json:"version"`
	Health            Health            `json:"health"`
	Served            bool              `json:"served"` // whether DNS may answer with it
	Addresses         []string          `json:"addresses"`
	Port              int               `json:"port"`
	Protocol          string            `json:"protocol"`
	Tags              []string          `json:"tags"`
	Subtypes          []string          `json:"subtypes"`
	Metadata          map[string]string `json:"metadata"`
	Weight            int               `json:"weight"`
	Scope             string            `json:"scope"`
	Source            string            `json:"source"` // "own": registered with this agent
	ThisHost          bool              `json:"this_host"`
	Stale             bool              `json:"stale"` // its source does not answer
	Shadowed          bool              `json:"shadowed"`
	Limit             string            `json:"limit"`  // who cannot reach it
	Advice            string            `json:"advice"` // how to change that
	LocalName         string            `json:"local_name"`
	MaintenanceReason string            `json:"maintenance_reason"`
	Checks            []CheckState      `json:"checks"`
	Registered        time.Time         `json:"registered"`
	Changed           time.Time         `json:"changed"`
	Revision          uint64            `json:"revision"`
}

// CheckState is what a check of an instance has seen.
type CheckState struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"`
	Kind   string    `json:"kind"`
	Health Health    `json:"health"`
	Output string    `json:"output"`
	Since  time.Time `json:"since"`
}

// ServiceSummary counts the instances of a service.
type ServiceSummary struct {
	Name      string   `json:"name"`
	Label     string   `json:"label"` // its name in DNS
	Instances int      `json:"instances"`
	Served    int      `json:"served"`
	ThisHost  int      `json:"this_host"`
	Tags      []string `json:"tags"`
}

// Snapshot is all that the agent knows.
type Snapshot struct {
	Revision  uint64     `json:"revision"`
	Instances []Instance `json:"instances"`
}

// Selected is the instance that Select has selected.
type Selected struct {
	Service    string   `json:"service"`
	Strategy   Strategy `json:"strategy"`
	Candidates int      `json:"candidates"`
	Endpoint   string   `json:"endpoint"` // ADDRESS:PORT
	URL        string   `json:"url"`      // PROTOCOL://ADDRESS:PORT
	Instance   Instance `json:"instance"`
}

// Explanation says what DNS answers for a name, and why.
type Explanation struct {
	Service   string    `json:"service"`
	Known     bool      `json:"known"`
	At        time.Time `json:"at"`
	Summary   string    `json:"summary"`
	Instances []struct {
		ID       string   `json:"id"`
		InAnswer bool     `json:"in_answer"`
		Reason   string   `json:"reason"`
		Place    string   `json:"place"`
		Instance Instance `json:"instance"`
	} `json:"instances"`
}
