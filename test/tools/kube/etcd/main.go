// Command etcd is a key-value store for one kube-apiserver under test: on loopback, without fsync, gone with its directory.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	dir := flag.String("data-dir", "", "where its files are")
	client := flag.String("listen-client-url", "http://127.0.0.1:2379", "where clients find it")
	peer := flag.String("listen-peer-url", "http://127.0.0.1:2380", "where peers would find it")
	flag.Parse()
	if err := run(*dir, *client, *peer); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
}

func run(dir, client, peer string) error {
	cfg := embed.NewConfig()
	cfg.Dir, cfg.UnsafeNoFsync, cfg.LogLevel = dir, true, "error"
	for _, each := range []struct {
		text string
		into []*[]url.URL
	}{
		{client, []*[]url.URL{&cfg.ListenClientUrls, &cfg.AdvertiseClientUrls}},
		{peer, []*[]url.URL{&cfg.ListenPeerUrls, &cfg.AdvertisePeerUrls}},
	} {
		u, err := url.Parse(each.text)
		if err != nil {
			return err
		}
		for _, into := range each.into {
			*into = []url.URL{*u}
		}
	}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}
