//go:build !linux

package environment

// memoryDir returns "": files that are not kept are in the system's directory for temporary files.
func memoryDir() string { return "" }
