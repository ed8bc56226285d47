package explain

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Every rectangle has its share of the area, lies within the place, and
// overlaps no other.
func TestSquarify(t *testing.T) {
	const slack = 1e-6
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		weights := make([]float64, 1+rng.IntN(40))
		var sum float64
		for i := range weights {
			weights[i] = math.Exp2(rng.Float64() * 20)
			sum += weights[i]
		}
		within := rect{10, 20, 100 + rng.Float64()*900, 100 + rng.Float64()*900}
		rects := squarify(weights, within)
		for i, r := range rects {
			if want := within.W * within.H * weights[i] / sum; math.Abs(r.W*r.H-want) > want*slack {
				t.Errorf("seed %d: area %v, want %v", seed, r.W*r.H, want)
			}
			if r.X < within.X-slack || r.Y < within.Y-slack || r.X+r.W > within.X+within.W+slack || r.Y+r.H > within.Y+within.H+slack {
				t.Errorf("seed %d: %v is not within %v", seed, r, within)
			}
			for _, o := range rects[:i] {
				if min(r.X+r.W, o.X+o.W)-max(r.X, o.X) > slack && min(r.Y+r.H, o.Y+o.H)-max(r.Y, o.Y) > slack {
					t.Errorf("seed %d: %v and %v overlap", seed, r, o)
				}
			}
		}
	}
}

// The example of the paper, section 3.1: its figure shows these rectangles.
func TestSquarifyLikeThePaper(t *testing.T) {
	got := squarify([]float64{6, 6, 4, 3, 2, 2, 1}, rect{0, 0, 6, 4})
	want := []rect{{0, 0, 3, 2}, {0, 2, 3, 2}, {3, 0, 12. / 7, 7. / 3}, {33. / 7, 0, 9. / 7, 7. / 3}}
	for i, w := range want {
		if g := got[i]; math.Abs(g.X-w.X)+math.Abs(g.Y-w.Y)+math.Abs(g.W-w.W)+math.Abs(g.H-w.H) > 1e-9 {
			t.Errorf("rectangle %d is %v, want %v", i, g, w)
		}
	}
}
