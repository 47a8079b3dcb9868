// Package compose tests that docker-compose.yml, the files it mounts and the Dockerfile match the configuration that the
// programs read. It starts no container.
package compose
