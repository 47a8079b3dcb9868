// Package compose tests that docker-compose.yml, the files it mounts and the Dockerfile fit what the programs
// read. No container is started.
package compose
