package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/org/nixery-action/internal/serve"
)

// Metrics counts for Prometheus. Its methods may be called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry
	builds   *prometheus.CounterVec
	building prometheus.Histogram
	tags     *prometheus.CounterVec
	sent     *prometheus.CounterVec
	stored   prometheus.Counter
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
}

// NewMetrics counts for a program of this version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		builds:   counters("nixery_builds_total", "Builds that have ended, by how they did.", "result"),
		building: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "nixery_build_duration_seconds",
			Help: "Time from the beginning of a build to its end.", Buckets: prometheus.ExponentialBuckets(0.25, 2, 14)}),
		tags:     counters("nixery_tag_lookups_total", "Tags that clients asked for, by whether what they stand for was known.", "cache"),
		sent:     counters("nixery_sent_bytes_total", "Bytes of manifests and blobs that went to clients.", "kind"),
		stored:   prometheus.NewCounter(prometheus.CounterOpts{Name: "nixery_stored_bytes_total", Help: "Bytes of blobs that were new to the storage."}),
		requests: counters("nixery_http_requests_total", "Requests that were answered.", "kind", "method", "code"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "nixery_http_request_duration_seconds",
			Help: "Time from a request to the end of its answer.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}, []string{"kind"}),
	}
	version1 := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "nixery_version", Help: "1, for the version in the label.",
		ConstLabels: prometheus.Labels{"version": version}}, func() float64 { return 1 })
	m.registry.MustRegister(m.builds, m.building, m.tags, m.sent, m.stored, m.requests, m.latency, version1,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// Hooks let a registry count here.
func (m *Metrics) Hooks() serve.Hooks {
	return serve.Hooks{
		Ended: func(b serve.Build) {
			m.builds.WithLabelValues(string(b.Phase)).Inc()
			if !b.Began.IsZero() {
				m.building.Observe(b.Ended.Sub(b.Began).Seconds())
			}
		},
		Resolved: func(remembered bool) {
			m.tags.WithLabelValues(map[bool]string{true: "hit", false: "miss"}[remembered]).Inc()
		},
		Sent: func(what serve.Sort, n int64) { m.sent.WithLabelValues(string(what)).Add(float64(n)) },
	}
}

// Stored counts bytes that were written to the storage.
func (m *Metrics) Stored(n int64) { m.stored.Add(float64(n)) }

// Watch shows how many builds run and wait, as load returns at each scrape.
func (m *Metrics) Watch(load func() (running, waiting int)) {
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	m.registry.MustRegister(
		gauge("nixery_builds_running", "Builds under way.", func() int { running, _ := load(); return running }),
		gauge("nixery_builds_waiting", "Builds that wait for their turn.", func() int { _, waiting := load(); return waiting }))
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// request counts an answer. Labels take no text of a client: it would fill the memory.
func (m *Metrics) request(r *http.Request, status int, took time.Duration) {
	method := r.Method
	if method != http.MethodGet && method != http.MethodHead {
		method = "other"
	}
	kind := kindOf(r.URL.Path)
	m.requests.WithLabelValues(kind, method, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(kind).Observe(took.Seconds())
}

func kindOf(path string) string {
	switch {
	case path == "/":
		return "page"
	case !strings.HasPrefix(path, "/v2"):
		return "other"
	case strings.Contains(path, "/manifests/"):
		return "manifest"
	case strings.Contains(path, "/blobs/"):
		return "blob"
	}
	return "registry"
}
