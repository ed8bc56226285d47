package actions

// Environment is what the runner tells a step of itself. Files and directories are
// empty where the runner, or something that plays it, has none.
type Environment struct {
	InActions   bool
	Debug       bool   // the user asked for debug logs
	OutputFile  string // see SetOutputs
	SummaryFile string // Markdown appended to it is shown on the run's page
	TempDir     string // emptied after the job
	Workspace   string // the checkout; annotations name files relative to it
}

// Detect reads the environment. Away from a workflow all of it is zero, whatever else is set.
func Detect(getenv func(string) string) Environment {
	if getenv("GITHUB_ACTIONS") != "true" {
		return Environment{}
	}
	return Environment{
		InActions:   true,
		Debug:       getenv("RUNNER_DEBUG") == "1",
		OutputFile:  getenv("GITHUB_OUTPUT"),
		SummaryFile: getenv("GITHUB_STEP_SUMMARY"),
		TempDir:     getenv("RUNNER_TEMP"),
		Workspace:   getenv("GITHUB_WORKSPACE"),
	}
}
