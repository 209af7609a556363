package repo_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// usage is what the command says about itself: the flags of each of its commands, "" for those of all.
type usage map[string]map[string]bool

var (
	helpCommand = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*)\b`)
	helpFlag    = regexp.MustCompile(`(?m)^ +(?:-\w, )?--(\[no-\])?([a-z][a-z0-9-]*)`)
	variable    = regexp.MustCompile(`\bSEXTANT_[A-Z0-9_]*[A-Z0-9]\b`)
)

// Every command, flag and variable of sextant that a document shows is there.
func TestCommands(t *testing.T) {
	bin := build(t)
	help := func(args ...string) string {
		out, err := exec.Command(bin, append(args, "--help")...).CombinedOutput()
		if err != nil {
			t.Fatalf("sextant %s --help: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	all := help()
	u := usage{"": flagsOf(all)}
	_, list, _ := strings.Cut(all, "\nCommands:\n")
	for _, m := range helpCommand.FindAllStringSubmatch(list, -1) {
		text := help(m[1])
		u[m[1]] = flagsOf(text)
		all += text
	}
	if len(u) < 4 || len(u["run"]) < 10 {
		t.Fatalf("what the command says of itself was not understood: found %v in\n%s", u, all)
	}
	variables := variable.FindAllString(all, -1)

	for _, file := range files(t) {
		if path.Ext(file) != ".md" {
			continue
		}
		text := read(t, file)
		for _, s := range snippets(text) {
			report(t, checkCommands(file, s, u))
		}
		for _, v := range variable.FindAllString(text, -1) {
			if !slices.Contains(variables, v) {
				t.Errorf("%s: there is no variable %s", file, v)
			}
		}
	}
}

// Every settings file that a document shows is one that the command takes.
func TestSettings(t *testing.T) {
	bin := build(t)
	settings := filepath.Join(t.TempDir(), "sextant.yaml")
	take := func(text string) ([]byte, error) {
		if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(text, "limits:") { // a catalogue of rate limits
			return exec.Command(bin, "replay", "--rate-limits-catalogue", settings, os.DevNull).CombinedOutput()
		}
		return exec.Command(bin, "--config", settings, "docs", "settings").CombinedOutput()
	}
	for _, wrong := range []string{"no_such: key\n", "limits:\n  - no_such: key\n"} {
		if _, err := take(wrong); err == nil {
			t.Fatalf("any settings are taken: %s", wrong)
		}
	}
	for _, file := range files(t) {
		if path.Ext(file) != ".md" {
			continue
		}
		for _, s := range snippets(read(t, file)) {
			if s.lang != "yaml" {
				continue
			}
			if out, err := take(s.text); err != nil {
				t.Errorf("%s: these settings are refused: %s\n%s", file, out, s.text)
			}
		}
	}
}

// build builds the command, once. Its place stays, so that nothing is linked when nothing has changed.
func build(t *testing.T) string {
	t.Helper()
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

var buildOnce = sync.OnceValues(func() (string, error) {
	bin, err := filepath.Abs(filepath.Join(root, ".cache", "test-repo", "sextant"))
	if err != nil {
		return "", err
	}
	_, err = command("go", "build", "-ldflags=-s -w", "-o", bin, "./cmd/sextant")
	return bin, err
})

// flagsOf returns the flags that a help text lists.
func flagsOf(help string) map[string]bool {
	flags := map[string]bool{}
	for _, m := range helpFlag.FindAllStringSubmatch(help, -1) {
		flags["--"+m[2]] = true
		if m[1] != "" {
			flags["--no-"+m[2]] = true
		}
	}
	return flags
}

var (
	inQuotes = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	callOf   = regexp.MustCompile(`(?:^|[\s$])(?:bin/)?sextant((?:\s+[^\s|;&>#]\S*)*)`)
	flagName = regexp.MustCompile(`^--[a-z][a-z0-9-]*`)
	word     = regexp.MustCompile(`^[a-z][a-z-]*$`)
)

// checkCommands looks at calls of sextant, one a line, and at flags that stand alone, which some command must have.
func checkCommands(file string, s snippet, u usage) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, file+": "+fmt.Sprintf(format, args...))
	}
	if flag := flagName.FindString(s.text); s.lang == "" && flag != "" {
		for flags := range maps.Values(u) {
			if flags[flag] {
				return nil
			}
		}
		complain("`%s`: no command has the flag %s", s.text, flag)
		return complaints
	}
	if s.lang != "" && s.lang != "sh" {
		return nil
	}
	text := strings.ReplaceAll(s.text, "\\\n", " ")
	for line := range strings.Lines(inQuotes.ReplaceAllString(text, "…")) {
		m := callOf.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		args := strings.Fields(m[1])
		command := ""
		if i := slices.IndexFunc(args, word.MatchString); i >= 0 {
			command = args[i]
		}
		flags, ok := u[command]
		if !ok {
			complain("`%s`: there is no command %s", strings.TrimSpace(line), command)
			continue
		}
		for _, arg := range args {
			if flag := flagName.FindString(arg); flag != "" && !flags[flag] {
				complain("`%s`: sextant %s has no flag %s", strings.TrimSpace(line), command, flag)
			}
		}
	}
	return complaints
}

func TestCommandsComplain(t *testing.T) {
	flags := flagsOf("Flags:\n  -h, --help    Show.\n      --server=ADDR    say --server=x or --other\n\nHubble:\n  --[no-]follow    f\n")
	if diff := cmp.Diff(map[string]bool{"--help": true, "--server": true, "--follow": true, "--no-follow": true}, flags); diff != "" {
		t.Errorf("flags (-want +got)\n%s", diff)
	}
	u := usage{"": {"--help": true}, "run": flags, "sql": {"--help": true, "--format": true}}
	sh := func(text string) []string { return checkCommands("a.md", snippet{"sh", text}, u) }
	words := func(text string) []string { return checkCommands("a.md", snippet{"", text}, u) }
	for _, fine := range []string{
		"sextant", "bin/sextant run --server=x --no-follow", `bin/sextant sql "SELECT run --x" --format json | jq --raw`,
		"hubble observe --nothing", "sextant run # --nothing", "sextant run \\\n --server x", "grep ^sextant_flows", "ls > sextant",
	} {
		complains(t, fine, sh(fine))
	}
	complains(t, "command", sh("x\nsextant rnu --server x\ny"), "a.md: `sextant rnu --server x`: there is no command rnu")
	complains(t, "flag", sh("sextant run --server x --format y"), "a.md: `sextant run --server x --format y`: sextant run has no flag --format")
	complains(t, "continued", sh("sextant run \\\n  --nothing"), "a.md: `sextant run    --nothing`: sextant run has no flag --nothing")
	complains(t, "words", words("--format json"))
	complains(t, "words", words("--nothing x"), "a.md: `--nothing x`: no command has the flag --nothing")
	complains(t, "yaml", checkCommands("a.md", snippet{"yaml", "sextant rnu"}, u))
}
