// SPDX-License-Identifier: Apache-2.0

package outrider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// What errors.Is finds in the errors of this package.
var (
	ErrNoAgent      = errors.New("no agent")      // no agent runs, or it does not answer
	ErrNotPermitted = errors.New("not permitted") // this user may not use it, or not for this
	ErrNotFound     = errors.New("not found")     // no such instance, or none that is healthy
	ErrRefused      = errors.New("refused")       // a registration or a parameter is wrong
	ErrTimeout      = errors.New("timeout")       // not within the time of the context
	ErrClosed       = errors.New("closed")        // the watcher was closed
)

// Error says what went wrong in the agent's words.
type Error struct {
	Text   string
	Status int // of the agent's answer; 0 if there was none
	kind   error
	cause  error
}

func (e *Error) Error() string { return e.Text }

// Is reports whether target is the kind of this error, such as ErrNotFound.
func (e *Error) Is(target error) bool { return target == e.kind }

func (e *Error) Unwrap() error { return e.cause }

func refusal(status int, body []byte) *Error {
	var answer struct{ Error string }
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
		answer.Error = strings.TrimSpace(string(body))
	}
	if answer.Error == "" {
		answer.Error = fmt.Sprintf("HTTP %d", status)
	}
	kind := ErrRefused
	switch status {
	case http.StatusNotFound:
		kind = ErrNotFound
	case http.StatusForbidden:
		kind = ErrNotPermitted
	}
	return &Error{Text: answer.Error, Status: status, kind: kind}
}
