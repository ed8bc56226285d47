package progress

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Size writes a number of bytes for people, in powers of 1000 as docker does.
func Size(bytes int64) string {
	if bytes < 1000 {
		return fmt.Sprintf("%d B", bytes)
	}
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	value := float64(bytes) / 1000
	for value >= 999.95 && len(units) > 1 {
		value, units = value/1000, units[1:]
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}

// elapsed is empty below a second: then time is no news.
func elapsed(d time.Duration) string {
	d = d.Truncate(time.Second)
	if d < time.Second {
		return ""
	}
	return d.String()
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
