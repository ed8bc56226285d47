// Command demo is what `make demo` needs beside the program itself: a registry
// on loopback, and a look at an image in it through another client's eyes, those
// of go-containerregistry. It stands apart from the program so that nothing it
// shows was known from the build: all comes back from the registry.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	log.SetFlags(0)
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 1 && args[0] == "serve":
		err = serve()
	case len(args) == 4 && args[0] == "show":
		err = show(os.Stdout, args[1], args[2], args[3])
	default:
		log.Fatal("usage: demo serve | demo show REFERENCE PLATFORM DIRECTORY")
	}
	if err != nil {
		log.Fatal("demo: ", err)
	}
}

// serve prints the address of a registry, and is that registry until it is killed.
func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return http.Serve(listener, registry.New(registry.Logger(log.New(io.Discard, "", 0))))
}
