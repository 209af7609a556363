package live

import "sync"

// changes wakes all who wait for a watch to change its state.
type changes struct {
	mu   sync.Mutex
	next chan struct{} // closed by the next change
}

func newChanges() *changes { return &changes{next: make(chan struct{})} }

// tell wakes all who wait.
func (c *changes) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.next)
	c.next = make(chan struct{})
}

// after is closed by the first change from now on.
func (c *changes) after() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}
