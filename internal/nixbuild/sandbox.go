package nixbuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Isolation is how builders are kept from the machine.
type Isolation struct {
	Sandboxed  bool // always: neither relaxed nor off
	BuildUsers bool // builders have users of their own
}

// ReadIsolation asks Nix for its settings.
func ReadIsolation(ctx context.Context, r Runner) (Isolation, error) {
	command := []string{"nix", "--extra-experimental-features", "nix-command"}
	out, err := r.Run(ctx, append(command, "config", "show", "--json")...)
	if _, old := errors.AsType[*ExitError](err); old { // before 2.20
		out, err = r.Run(ctx, append(command, "show-config", "--json")...)
	}
	if err != nil {
		return Isolation{}, fmt.Errorf("reading Nix's settings: %w", err)
	}
	var settings struct {
		Sandbox struct {
			Value any `json:"value"` // true, false, or a word
		} `json:"sandbox"`
		Users struct {
			Value string `json:"value"`
		} `json:"build-users-group"`
	}
	if err := json.Unmarshal(out, &settings); err != nil {
		return Isolation{}, fmt.Errorf("reading Nix's settings: %w", err)
	}
	return Isolation{Sandboxed: fmt.Sprint(settings.Sandbox.Value) == "true", BuildUsers: settings.Users.Value != ""}, nil
}
