// SPDX-License-Identifier: Apache-2.0

package outrider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

const (
	otherAgentAfter = 2 * time.Second  // a suspended agent holds its socket and never answers
	agentAfter      = 30 * time.Second // where there is no other agent to ask
)

// noAgent is the error for when no agent could be asked; last is what the last socket said.
func noAgent(found foundSockets, socket string, last error) error {
	switch {
	case last == nil && len(found.closed) == 0 && found.passedOver != "":
		return &Error{Text: "no other agent is running; " + found.passedOver, kind: ErrNoAgent}
	case last == nil && len(found.closed) == 0:
		text := "no agent is running; start one with: outrider agent"
		return &Error{Text: text, kind: ErrNoAgent}
	case last == nil || errors.Is(last, fs.ErrPermission):
		if last == nil {
			socket = found.closed[0]
		}
		text := "not permitted to use the agent in " + socket +
			"; join the group of that file, or ask its owner"
		return &Error{Text: text, kind: ErrNotPermitted, cause: last}
	}
	reason := last.Error()
	var number syscall.Errno
	if errors.As(last, &number) {
		reason = number.Error()
	} else if errors.Is(last, context.DeadlineExceeded) {
		reason = "no answer in time"
	}
	text := fmt.Sprintf("no agent answers on %s: %s", socket, reason)
	return &Error{Text: text, kind: ErrNoAgent, cause: last}
}

// transportOf connects to this socket for every request: the agent may have been restarted.
func transportOf(socket string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
}

// A file of an agent that has ended, or an agent that is not ours to use: another may be there.
func isAboutThisSocket(err error) bool {
	for _, number := range []syscall.Errno{syscall.ECONNREFUSED, syscall.ENOENT, syscall.EACCES,
		syscall.EPERM, syscall.ENOTSOCK, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, number) {
			return true
		}
	}
	return errors.Is(err, io.EOF)
}

func roundTrip(ctx context.Context, socket, method, target string, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://agent"+target,
		bytes.NewReader(body))
	if err != nil {
		return 0, nil, &Error{Text: err.Error(), kind: ErrRefused, cause: err}
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := transportOf(socket).RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// isExplanation reports whether this is the explanation of an unknown name, which is an answer, too.
func isExplanation(status int, body []byte) bool {
	var answer struct{ Summary string }
	return status == http.StatusNotFound && json.Unmarshal(body, &answer) == nil &&
		answer.Summary != ""
}

// ask asks the agents in turn, and returns the first answer. A question goes to the next agent if
// one does not answer; a change goes to the next one only if an agent cannot be reached or does not
// know what is to be changed.
func ask(ctx context.Context, given, method, target string, body []byte) ([]byte, error) {
	found, err := findSockets(given)
	if err != nil {
		return nil, err
	}
	var notFound error
	var last error
	var lastSocket string
	isQuestion := method == http.MethodGet
	for index, socket := range found.sockets {
		another := isQuestion && index+1 < len(found.sockets)
		patience := agentAfter
		if another {
			patience = otherAgentAfter
		}
		limited, cancel := context.WithTimeout(ctx, patience)
		status, text, err := roundTrip(limited, socket, method, target, body)
		timedOut := limited.Err() == context.DeadlineExceeded
		cancel()
		switch {
		case err == nil && (status < 400 || isExplanation(status, text)):
			return text, nil
		case err == nil && (isQuestion || status != http.StatusNotFound):
			return nil, refusal(status, text)
		case err == nil:
			if notFound == nil {
				notFound = refusal(status, text)
			}
			continue
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		var ours *Error
		if errors.As(err, &ours) {
			return nil, err
		}
		last, lastSocket = err, socket
		if !(another && timedOut) && !isAboutThisSocket(err) {
			break
		}
	}
	if notFound != nil {
		return nil, notFound
	}
	return nil, noAgent(found, lastSocket, last)
}
