package explain

import (
	"cmp"
	"slices"
)

// rect is a place on a map.
type rect struct{ X, Y, W, H float64 }

func (r rect) inset(by float64) rect {
	by = min(by, r.W/4, r.H/4)
	return rect{r.X + by, r.Y + by, r.W - 2*by, r.H - 2*by}
}

// squarify divides a place among weights, in proportion, as rectangles as near
// to squares as may be; the result is in the order of the weights, which must be
// above zero. The algorithm is that of Bruls, Huizing and van Wijk, "Squarified
// Treemaps", 2000.
func squarify(weights []float64, within rect) []rect {
	order := make([]int, len(weights))
	var sum float64
	for i, w := range weights {
		order[i] = i
		sum += w
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[b], weights[a]) })
	scale := within.W * within.H / sum
	rects := make([]rect, len(weights))
	for len(order) > 0 {
		n, area := row(order, weights, scale, min(within.W, within.H))
		within = lay(order[:n], weights, scale, area, within, rects)
		order = order[n:]
	}
	return rects
}

// row is how many of the next weights to put into one row along a side, and
// their area: as many as make the worst of them no worse.
func row(order []int, weights []float64, scale, side float64) (n int, area float64) {
	largest := weights[order[0]] * scale
	worst := func(smallest, area float64) float64 {
		return max(side*side*largest/(area*area), area*area/(side*side*smallest))
	}
	area = largest
	for n = 1; n < len(order); n++ {
		last, next := weights[order[n-1]]*scale, weights[order[n]]*scale
		if worst(next, area+next) > worst(last, area) {
			return n, area
		}
		area += next
	}
	return n, area
}

// lay puts a row along the shorter side, and returns the place that is left.
func lay(members []int, weights []float64, scale, area float64, in rect, rects []rect) rect {
	if in.W >= in.H {
		y, depth := in.Y, min(area/in.H, in.W)
		for _, i := range members {
			h := weights[i] * scale / depth
			rects[i] = rect{in.X, y, depth, h}
			y += h
		}
		return rect{in.X + depth, in.Y, in.W - depth, in.H}
	}
	x, depth := in.X, min(area/in.W, in.H)
	for _, i := range members {
		w := weights[i] * scale / depth
		rects[i] = rect{x, in.Y, w, depth}
		x += w
	}
	return rect{in.X, in.Y + depth, in.W, in.H - depth}
}
