package hubble

import "time"

// Hasten makes a client that has not run yet impatient. An outage that lasts is told after each slice.
func Hasten(c *Client, slice time.Duration) {
	c.times = times{
		poll: 100 * time.Millisecond, relayPoll: 100 * time.Millisecond, accept: 150 * time.Millisecond,
		retryFirst: 5 * time.Millisecond, retryMost: 50 * time.Millisecond,
		slice: slice, settle: 200 * time.Millisecond, grace: 500 * time.Millisecond,
	}
}
