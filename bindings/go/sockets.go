// SPDX-License-Identifier: Apache-2.0

package outrider

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	systemDir      = "/run/outrider"
	socketsMax     = 64 // agent.sock, agent-2.sock, ... in a directory
	namedAgentsMax = 64 // folders of systemDir
)

// The sockets to try in turn, the directories that this user may not enter, and why the agents of
// this user are not used, if so.
type foundSockets struct {
	sockets    []string
	closed     []string
	passedOver string
}

// runtimeDir is the directory of this user's agents.
func runtimeDir() string {
	// systemd lists several directories with colons; the first is the agent's.
	if service := os.Getenv("RUNTIME_DIRECTORY"); service != "" {
		first, _, _ := strings.Cut(service, ":")
		return first
	}
	if user := os.Getenv("XDG_RUNTIME_DIR"); user != "" && !isOfAnotherUser(user) {
		return user + "/outrider"
	}
	if os.Geteuid() == 0 {
		return systemDir
	}
	return fmt.Sprintf("/tmp/outrider-%d", os.Geteuid())
}

func isOfAnotherUser(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	status, known := info.Sys().(*syscall.Stat_t)
	return known && int(status.Uid) != os.Geteuid()
}

// In /tmp anyone can make the directory of another user, and play this user's agent in it.
func whyDistrusted(dir string) string {
	info, err := os.Lstat(dir)
	if err != nil {
		return ""
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return "is a symbolic link"
	}
	if !info.IsDir() {
		return "is not a directory"
	}
	status, known := info.Sys().(*syscall.Stat_t)
	if known && status.Uid != 0 && int(status.Uid) != os.Geteuid() {
		return fmt.Sprintf("belongs to the user with id %d", status.Uid)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return "is writable for all users"
	}
	if info.Mode().Perm()&0o020 != 0 {
		return "is writable for its group"
	}
	return ""
}

func (f *foundSockets) lookInto(dir string) {
	for number := 1; number <= socketsMax; number++ {
		path := dir + "/agent.sock"
		if number > 1 {
			path = fmt.Sprintf("%s/agent-%d.sock", dir, number)
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrPermission) {
			f.closed = append(f.closed, dir)
			return
		}
		if err == nil && info.Mode()&fs.ModeSocket != 0 {
			f.sockets = append(f.sockets, path)
		}
	}
}

// findSockets looks where the command outrider(1) looks: the option, else $OUTRIDER_API_SOCKET,
// else the runtime directory of this user, /run/outrider, and its folders.
func findSockets(given string) (foundSockets, error) {
	if given != "" {
		// A leading '@' would mean an abstract socket, which anybody may have made.
		if given[0] == '@' {
			given = "./" + given
		}
		return foundSockets{sockets: []string{given}}, nil
	}
	variable := os.Getenv("OUTRIDER_API_SOCKET")
	if strings.HasPrefix(variable, "/") {
		return foundSockets{sockets: []string{variable}}, nil
	}
	// The variable is an option of the agent, too, whose other values name no socket.
	if variable != "" && variable != "auto" && variable != "off" {
		text := fmt.Sprintf("OUTRIDER_API_SOCKET: expected an absolute path, not %q", variable)
		return foundSockets{}, &Error{Text: text, kind: ErrRefused}
	}
	var found foundSockets
	own := runtimeDir()
	// What is below systemDir, root has made for the user of the host's agents.
	why := ""
	if !strings.HasPrefix(own+"/", systemDir+"/") {
		why = whyDistrusted(own)
	}
	if why != "" {
		found.passedOver = "agents in " + own + " are not used: that directory " + why
	} else {
		found.lookInto(own)
	}
	if own != systemDir {
		found.lookInto(systemDir)
	}
	entries, _ := os.ReadDir(systemDir) // sorted by name
	named := 0
	for _, entry := range entries {
		if !entry.IsDir() || named == namedAgentsMax {
			continue
		}
		named++
		if dir := filepath.Join(systemDir, entry.Name()); dir != own {
			found.lookInto(dir)
		}
	}
	return found, nil
}
