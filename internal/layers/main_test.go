package layers

import "flag"

var update = flag.Bool("update", false, "accept the present output as golden")
