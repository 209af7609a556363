//go:build !((linux || darwin) && (amd64 || arm64) && !static)

package embedded

import "errors"

// runLibrary is not there on this platform, and in a build with the tag
// "static": a program that can load libraries needs the C library at run time,
// which images made from scratch do not have.
func runLibrary(path, config string) error {
	return errors.New("this build of sextant cannot load libchdb.so: " + otherWays)
}
