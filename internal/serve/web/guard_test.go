package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/org/nixery-action/internal/logline"
	"github.com/org/nixery-action/internal/serve"
)

func networks(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// from is where a request comes from, and what it says of where it came from before.
func from(address string, forwarded ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr = address
		for _, one := range forwarded {
			r.Header.Add("X-Forwarded-For", one)
		}
	}
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

// over is a connection to this address of the server.
func over(address string) func(*http.Request) {
	return func(r *http.Request) {
		local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
	}
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func TestHosts(t *testing.T) {
	loopback := []string{"localhost", "localhost:8080", "LOCALHOST", "localhost.", "localhost.:80", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080",
		"[0:0:0:0:0:0:0:1]:1", "[::ffff:127.0.0.1]", "[::1%25lo]:8080", "localhost:"}
	foreign := []string{"evil.example", "evil.example:8080", "localhost.evil.example", "localhost..", "evil.example.", "127.0.0.1.evil.example", "127.1", "2130706433",
		"0.0.0.0:8080", "[::]", "192.0.2.7:8080", "[2001:db8::7]", "[::1]x", "[::1", "::1", "localhost:80:80", "localhost:x", ":8080", "[localhost]", "[127.0.0.1]", "x@localhost", "registry.example.evil.example"}
	named := []string{"registry.example", "REGISTRY.example:443", "registry.example.", "registry.example.:5000", "[2001:db8::1]:5000"}
	for name, c := range map[string]struct {
		hosts      *Hosts
		yes, no    []string
		connection string
	}{
		"loopback":     {NewHosts(nil, false), loopback, append(foreign, named...), "127.0.0.1:8080"},
		"named":        {NewHosts([]string{"registry.example", "2001:db8::1"}, false), append(named, loopback...), foreign, "127.0.0.1:8080"},
		"public":       {NewHosts(nil, true), append(append(foreign, named...), loopback...), nil, "192.0.2.7:8080"},
		"public named": {NewHosts([]string{"registry.example", "2001:db8::1"}, true), append(named, "192.0.2.7:8080", "192.0.2.7"), append(foreign[:8:8], "192.0.2.8"), "192.0.2.7:8080"},
		"link local":   {NewHosts(nil, false), []string{"[fe80::1]:8080", "[fe80::1%25eth0]:8080"}, []string{"[fe80::2%25eth0]:8080"}, "[fe80::1%eth0]:8080"},
	} {
		s := newStack()
		s.Hosts = c.hosts
		for _, target := range []string{"/", "/metrics", "/healthz", "/readyz", "/v2/", "/v2/git/manifests/latest", "/other"} {
			for _, h := range c.yes {
				if w := s.do("GET", target, over(c.connection), host(h)); w.Code == http.StatusMisdirectedRequest {
					t.Errorf("%s: %s of %s is refused", name, target, h)
				}
			}
			for _, h := range c.no {
				// What others say of the host is of no account.
				w := s.do("GET", target, over(c.connection), host(h), header("X-Forwarded-Host", "localhost"), header("Forwarded", "host=localhost"))
				var body struct {
					Errors []struct{ Code, Message string }
				}
				if err := json.Unmarshal(w.Body.Bytes(), &body); w.Code != http.StatusMisdirectedRequest || err != nil || len(body.Errors) != 1 || body.Errors[0].Code != "DENIED" {
					t.Errorf("%s: %s of %s: %d %s (%v)", name, target, h, w.Code, w.Body, err)
				}
			}
		}
	}
}

// Over the wire: what is the host of a request that names two, or none.
func TestHostOnTheWire(t *testing.T) {
	s := newStack()
	s.Hosts = NewHosts([]string{"registry.example"}, false)
	server := httptest.NewServer(Handler(s.Options))
	defer server.Close()
	for request, want := range map[string]int{
		"GET /v2/ HTTP/1.1\r\nHost: registry.example\r\n\r\n":                              418,
		"GET http://registry.example/v2/ HTTP/1.1\r\nHost: evil.example\r\n\r\n":           418, // RFC 9112, 3.2.2: the target counts
		"GET http://evil.example/v2/ HTTP/1.1\r\nHost: registry.example\r\n\r\n":           421,
		"GET http://registry.example@evil.example/v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n": 421,
		"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n":               400,
		"GET /v2/ HTTP/1.1\r\n\r\n":                    400,
		"GET /v2/ HTTP/1.0\r\n\r\n":                    421,
		"GET / HTTP/1.0\r\n\r\n":                       421,
		"GET /metrics HTTP/1.0\r\n\r\n":                421,
		"GET /readyz HTTP/1.0\r\n\r\n":                 200,
		"GET /v2/ HTTP/1.0\r\nHost: localhost\r\n\r\n": 418,
		"GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\nX-Forwarded-Host: evil.example\r\n\r\n":        418,
		"GET /v2/ HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: 127.0.0.1:1\r\n\r\n":        421,
		"OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n":                                        200, // net/http's own answer, which says nothing
		"POST /v2/git/blobs/uploads/ HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n": 421,
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		answer.Body.Close()
		conn.Close()
		if answer.StatusCode != want {
			t.Errorf("%q: %s, want %d", request, answer.Status, want)
		}
	}
	if !strings.Contains(s.log.String(), `"host":"evil.example"`) {
		t.Errorf("the log does not say which host was asked for:\n%s", &s.log)
	}
}

// Web pages pull nothing; clients do, and people look at the page.
func TestWebPagesDoNotPull(t *testing.T) {
	browser := header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
	site := func(values ...string) func(*http.Request) { return header("Sec-Fetch-Site", values...) }
	for name, c := range map[string]struct {
		change func(*http.Request)
		pulls  bool
	}{
		"client":         {header("User-Agent", "docker/28.0"), true},
		"typed":          {func(r *http.Request) { browser(r); site("none")(r) }, true},
		"own":            {func(r *http.Request) { browser(r); site("same-origin")(r); header("Origin", "http://example.com")(r) }, true},
		"own behind TLS": {func(r *http.Request) { site("same-origin")(r); header("Origin", "https://example.com:443")(r) }, true},
		"cross-site":     {site("cross-site"), false},
		"same-site":      {site("same-site"), false},
		"upper case":     {site("Cross-Site"), false},
		"unknown":        {site("other-planet"), false},
		"two":            {site("none", "cross-site"), false},
		"origin":         {header("Origin", "http://evil.example"), false},
		"port":           {header("Origin", "http://example.com:8081"), false},
		"null":           {header("Origin", "null"), false},
		"lies":           {func(r *http.Request) { site("same-origin")(r); header("Origin", "http://evil.example")(r) }, false},
		"plain HTTP":     {browser, false}, // over which browsers do not say
	} {
		s := newStack()
		built := 0
		s.Registry = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { built++ })
		for _, target := range []string{"/v2/git/manifests/latest", "/v2/git/tags/list", "/v2/", "/v2"} {
			for _, method := range []string{"GET", "HEAD"} {
				w := s.do(method, target, c.change)
				if refused := w.Code == http.StatusForbidden; refused == c.pulls || method == "GET" && refused && !strings.Contains(w.Body.String(), `"DENIED"`) {
					t.Errorf("%s: %s %s: %d %s", name, method, target, w.Code, w.Body)
				}
			}
		}
		if built > 0 != c.pulls {
			t.Errorf("%s: %d requests reached the registry", name, built)
		}
		if w := s.do("GET", "/", c.change); w.Code != http.StatusOK {
			t.Errorf("%s: the page: %d", name, w.Code)
		}
	}
}

func TestAddressOfAClient(t *testing.T) {
	log := &strings.Builder{}
	c := NewClients(networks("10.0.0.0/8", "fd00::/8"), slog.New(slog.NewTextHandler(log, nil)))
	for want, change := range map[string]func(*http.Request){
		"192.0.2.1":   from("192.0.2.1:1"),
		"192.0.2.2":   from("[::ffff:192.0.2.2]:1"),
		"2001:db8::1": from("[2001:db8::1%eth0]:1"),
		"192.0.2.3":   from("10.0.0.1:1", "192.0.2.3"),
		"192.0.2.4":   from("10.0.0.1:1", "8.8.8.8, 192.0.2.4, 10.0.0.3", "10.0.0.2"),
		"192.0.2.5":   from("10.0.0.1:1", "192.0.2.5:4711"),
		"2001:db8::6": from("[fd00::1]:1", "[2001:db8::6]:4711"),
		"2001:db8::7": from("[fd00::1]:1", "[2001:db8::7]"),
		"10.0.0.8":    from("10.0.0.1:1", "10.0.0.8"),
		"10.0.0.9":    from("10.0.0.9:1", "192.0.2.1, unknown"),
		"10.0.0.10":   from("10.0.0.10:1", ""),
		"10.0.0.11":   from("10.0.0.1:1", "192.0.2.1", "garbage\x00, 10.0.0.11"),
		"192.0.2.12":  from("192.0.2.12:1", "192.0.2.99"), // no proxy of ours
		"invalid IP":  from("@", "192.0.2.99"),
	} {
		r := httptest.NewRequest("GET", "/", nil)
		change(r)
		if got := c.address(r).String(); got != want {
			t.Errorf("%s %v: %s, want %s", r.RemoteAddr, r.Header, got, want)
		}
	}
	if n := strings.Count(log.String(), "is not known"); n != 1 || !strings.Contains(log.String(), "--proxy") {
		t.Errorf("the unknown proxy is reported %d times:\n%s", n, log)
	}
}

// The registry knows a client as the user, or else by the address.
func TestClientOfTheRegistry(t *testing.T) {
	s := newStack()
	var got serve.Client
	s.Registry = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = serve.ClientOf(r.Context()) })
	ask := func(want serve.Client, change ...func(*http.Request)) {
		t.Helper()
		got = "no request"
		s.do("GET", "/v2/", change...)
		if got != want {
			t.Errorf("the client is %q, want %q", got, want)
		}
	}
	ask("", from("192.0.2.1:1"))
	s.Clients = NewClients(nil, s.Log)
	ask("address 192.0.2.1", from("192.0.2.1:1"))
	ask("address 2001:db8:0:1::/64", from("[2001:db8:0:1:2:3:4:5]:1"))
	var err error
	if s.Users, err = users(t, "alice:"+hashed(t, "secret")); err != nil {
		t.Fatal(err)
	}
	ask("user alice", from("192.0.2.1:1"), user("alice", "secret"))
	ask("no request", from("192.0.2.1:1"), user("alice", "wrong"))
}

// Whatever clients write, a request is one line of the log, and no terminal obeys it.
func TestNoLineOfTheLogIsForged(t *testing.T) {
	hostile := "\n2026/01/01 warning: forged\r\x1b[2J\x1b]0;title\x07\u0085\u2028\u202e\u009b31m\x7f\xff"
	escaped := "%0awarning:%20forged%0d%1b%5b2J%c2%85%e2%80%a8%e2%80%ae%c2%9b31m%7f%ff"
	for _, structured := range []bool{false, true} {
		s := newStack()
		var text strings.Builder
		if !structured {
			s.Log, s.Structured = slog.New(NewTextLog(logline.NewPlain(&text, slog.LevelDebug, false))), false
			s.Clients = NewClients(nil, s.Log)
		}
		s.Hosts = NewHosts(nil, false)
		var err error
		if s.Users, err = users(t, "alice:"+hashed(t, "secret")); err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{"/" + escaped, "/v2/" + escaped + "/manifests/" + escaped, "/?" + escaped} {
			s.do("GET", target, host("localhost"), header("User-Agent", hostile), header("Accept", hostile), header("Referer", hostile))
			s.do("GET", target, host("evil\n"+hostile))
			s.do("GET", target, host("localhost"), user("alice"+hostile, hostile), from(hostile, hostile))
			s.do("GET", "/x", host("localhost"), func(r *http.Request) { r.Method, r.Proto = hostile, hostile })
			s.do("GET", target, host("localhost"), user("alice", "secret"), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", hostile) })
		}
		requests := 15
		s.Log.Warn("Nix says"+hostile, "cause", fmt.Errorf("error%s", hostile), "package", hostile, "host"+"", hostile)
		s.Log.With("image", hostile).WithGroup("group").Info("in a group", "key", hostile)
		slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn).Print("http: of the server" + hostile)
		log := text.String() + s.log.String()
		if n := strings.Count(log, "\n"); n != requests+3 {
			t.Errorf("structured %t: %d lines, want %d:\n%q", structured, n, requests+3, log)
		}
		if sent := "GET /v2/" + escaped + "/manifests/" + escaped + ": "; strings.Count(log, sent) < 3 {
			t.Errorf("structured %t: paths are not there as they were sent:\n%q", structured, log)
		}
		for _, bad := range []string{"\r", "\x1b", "\x07", "\u0085", "\u009b", "\x7f", "\xff"} {
			if strings.Contains(log, bad) {
				t.Errorf("structured %t: the log holds %q:\n%q", structured, bad, log)
			}
		}
		if !structured && strings.ContainsAny(log, "\u2028\u202e") {
			t.Errorf("the log holds what is not printed:\n%q", log)
		}
	}
}
