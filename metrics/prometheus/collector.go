// Package promapigws exports the statistics of apigws clients as Prometheus
// metrics.
//
//	collector := promapigws.NewCollector()
//	prometheus.MustRegister(collector)
//
//	c, err := apigws.Dial(ctx, url, opts)
//	...
//	collector.Add("orders", c)
//
// The metrics are read from Client.Stats at each scrape: between scrapes they
// cost nothing.
package promapigws

import (
	"sync"
	"time"

	"github.com/apigws/apigws"
	"github.com/prometheus/client_golang/prometheus"
)

// A Collector is a prometheus.Collector of the statistics of any number of
// clients. Make one with NewCollector. Its methods may be called concurrently.
type Collector struct {
	mu      sync.Mutex // guards clients; never held while sending metrics
	clients map[string]*apigws.Client
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a Collector of no clients yet.
func NewCollector() *Collector {
	return &Collector{clients: map[string]*apigws.Client{}}
}

// Add exports a client from now on, with its name in the label "client". A
// client added before under the same name is replaced: to Prometheus, its
// counters start over. The client stays the caller's, and may be closed; a
// closed client is exported until Remove, so that its end can be seen.
func (c *Collector) Add(name string, client *apigws.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients[name] = client
}

// Remove ends the export of the client of that name, if there is one.
func (c *Collector) Remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.clients, name)
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range families {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	for name, stats := range c.stats() {
		collect(ch, name, stats, now)
	}
}

// collect sends the metrics of one client.
func collect(ch chan<- prometheus.Metric, client string, stats *apigws.Stats, now time.Time) {
	for _, f := range families {
		for _, s := range f.samples(stats, now) {
			m, err := prometheus.NewConstMetric(f.desc, f.kind, s.value, s.labels(client)...)
			if err != nil { // a name that is not UTF-8: an error of the scrape, not a panic
				m = prometheus.NewInvalidMetric(f.desc, err)
			}
			ch <- m
		}
	}
}

// stats takes a snapshot of every client.
func (c *Collector) stats() map[string]*apigws.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[string]*apigws.Stats, len(c.clients))
	for name, client := range c.clients {
		s := client.Stats()
		all[name] = &s
	}
	return all
}
