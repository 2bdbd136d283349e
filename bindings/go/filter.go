// SPDX-License-Identifier: Apache-2.0

package outrider

import "net/url"

// Filter narrows a list of instances. The zero Filter wants all.
type Filter struct {
	Version  string
	Tags     []string          // instances with all of these
	Metadata map[string]string // instances with all of this
	Healthy  bool              // those that DNS may answer with: passing or warning, with an address
	Passing  bool
}

func (f Filter) query() url.Values {
	query := url.Values{}
	if f.Version != "" {
		query.Set("version", f.Version)
	}
	for _, tag := range f.Tags {
		query.Add("tag", tag)
	}
	for key, value := range f.Metadata {
		query.Add("metadata", key+"="+value)
	}
	if f.Healthy {
		query.Set("healthy", "true")
	}
	if f.Passing {
		query.Set("passing", "true")
	}
	return query
}

// wants is for streams, which the agent does not filter.
func (f Filter) wants(instance *Instance) bool {
	if f.Version != "" && instance.Version != f.Version {
		return false
	}
	if (f.Healthy || f.Passing) && !instance.Served || f.Passing && instance.Health != Passing {
		return false
	}
	for _, tag := range f.Tags {
		if !contains(instance.Tags, tag) {
			return false
		}
	}
	for key, value := range f.Metadata {
		if got, there := instance.Metadata[key]; !there || got != value {
			return false
		}
	}
	return true
}

func contains(list []string, wanted string) bool {
	for _, one := range list {
		if one == wanted {
			return true
		}
	}
	return false
}

func targetOf(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}
