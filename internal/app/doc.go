// Package app opens what a configuration names: the store, the processors, the connection to Temporal, the workers, the endpoint for
// processors' events. Package worker, the commands, the sandbox and tests are built on it. So it also has what a process needs for
// that: its logger, its build id, the health endpoint, and the check that Temporal has the search attributes.
package app
