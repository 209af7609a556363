package clickhouse_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// The classes of Debian's libzookeeper-java.
const zookeeperClasses = "/usr/share/java/zookeeper.jar"

// zookeeper starts a ZooKeeper for a test and returns its address.
func zookeeper(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(zookeeperClasses); err != nil {
		const way = "no ZooKeeper on this machine: run test/tools/debian.sh libzookeeper-java default-jre-headless, or apt-get install these"
		if os.Getenv("CI") == "" {
			t.Skip("SKIPPED, " + way)
		}
		t.Fatal(way)
	}
	l, dir := listen(t), t.TempDir()
	address := l.Addr().String()
	host, port, _ := strings.Cut(address, ":")
	l.Close()
	settings := fmt.Sprintf("tickTime=500\ndataDir=%s\nclientPortAddress=%s\nclientPort=%s\nadmin.enableServer=false\n", dir, host, port)
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("java", "-Xmx64m", "-XX:+UseSerialGC", "-cp", zookeeperClasses, "org.apache.zookeeper.server.quorum.QuorumPeerMain", file)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for range 600 {
		if serves(address) {
			return address
		}
		select {
		case <-ended:
			t.Fatalf("zookeeper ended: %s", log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("zookeeper does not answer")
	return ""
}

// serves reports whether a ZooKeeper does, which accepts connections before.
func serves(address string) bool {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("srvr")); err != nil {
		return false
	}
	answer, _ := io.ReadAll(c)
	return strings.Contains(string(answer), "Mode: ")
}

// Two servers register in a real ZooKeeper as replicas of every table that holds rows, and what they have then is known
// again. More these engines cannot do: their replicas stay read-only, and they refuse ON CLUSTER.
func TestReplicatedTables(t *testing.T) {
	servers := embeddedtest.Cluster(t, 1, 2, zookeeper(t))
	c := clickhouse.Default()
	c.Address, c.Cluster = servers[0].Addr(), embeddedtest.ClusterName
	plan, err := c.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const last = "INSERT INTO `sextant`.`schema_version` "
	var want []string
	for _, statement := range plan {
		if strings.HasPrefix(statement, last) { // which would wait for a replica that is not read-only
			break
		}
		if name, ok := strings.CutPrefix(statement, "CREATE TABLE IF NOT EXISTS `sextant`.`"); ok && strings.Contains(statement, "ENGINE = Replicated") {
			name, _, _ = strings.Cut(name, "`")
			want = append(want, "/clickhouse/tables/1/sextant/"+name+"\t2")
		}
		if _, err := servers[0].State().Query(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "Replicated DDL queries are disabled") {
			t.Errorf("error %v, want that of an engine that has understood, and may not:\n%.200s", err, statement)
		}
		if err := everywhere(t.Context(), servers, c.Everywhere(statement)); err != nil {
			t.Fatalf("%.200s: %v", statement, err)
		}
	}
	slices.Sort(want)
	for _, got := range each(t, servers, "SELECT zookeeper_path, total_replicas FROM system.replicas ORDER BY table") {
		if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" || len(want) < len(kept) {
			t.Errorf("replicas (-want +got)\n%s", diff)
		}
	}

	if left, err := c.Plan(t.Context()); err != nil || len(left) != 1 || !strings.HasPrefix(left[0], last) {
		t.Errorf("left to do is %q, %v, want %s", left, err, last)
	}
	c.TTLPulls, c.TTLGaps = 0, 24*time.Hour
	changed, err := c.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, statement := range changed {
		if rest, ok := strings.CutPrefix(statement, "ALTER TABLE `sextant`."); ok {
			got = append(got, rest)
		}
	}
	if diff := cmp.Diff([]string{
		"`gaps_local` ON CLUSTER `engines` MODIFY TTL toDateTime(greatest(`from`, `to`)) + toIntervalDay(1)",
		"`heartbeats_local` ON CLUSTER `engines` MODIFY TTL toDateTime(`from`) + toIntervalDay(1)",
		"`pulls_local` ON CLUSTER `engines` REMOVE TTL",
	}, got[:min(3, len(got))]); diff != "" {
		t.Errorf("another retention (-want +got)\n%s", diff)
	}
	c.Cluster = ""
	if _, err := c.Plan(t.Context()); err == nil || !strings.Contains(err.Error(), "is spread over the cluster engines") {
		t.Errorf("error %v, want one that says that it is a cluster's", err)
	}
}
