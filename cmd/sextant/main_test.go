package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"sextant/sinks/clickhouse/embedded"
)

func TestMain(m *testing.M) {
	embedded.MaybeChild()
	testscript.Main(m, map[string]func(){"sextant": main})
}

// TestScripts runs the command as a user meets it.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	_, noEngine := embedded.Find("")
	if noEngine != nil && os.Getenv("CI") != "" {
		t.Fatal(noEngine)
	}
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"sysdump": packSysdump},
		Setup: func(env *testscript.Env) error {
			env.Setenv("RECORDINGS", filepath.Join(root, "test", "recordings"))
			env.Setenv("DEMO", filepath.Join(root, "deploy", "demo"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			if engine, err := embedded.Find(""); err == nil {
				env.Setenv("SEXTANT_ENGINE", engine.Path)
			}
			return nil
		},
		Condition: func(condition string) (bool, error) { return condition == "engine" && noEngine == nil, nil },
	})
}
