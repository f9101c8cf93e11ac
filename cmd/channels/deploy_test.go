package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"channels/hub/redisbus"
)

// No engine runs here, so the Dockerfile and docker-compose.yml are held against
// the code: every name that they use has to be one that there is.

// stage is one image of a Dockerfile.
type stage struct {
	from     string
	lines    []string // instructions, whole
	env      map[string]string
	exposed  []string
	health   []string // command of the health check
	entry    string
	user     string
	volumes  []string
	previous *stage // when from is a stage
}

// get looks a value up in the stage and in those that it stands on.
func (s *stage) get(of func(*stage) string) string {
	for ; s != nil; s = s.previous {
		if v := of(s); v != "" {
			return v
		}
	}
	return ""
}

var words = regexp.MustCompile(`"([^"]*)"`)

func parseDockerfile(t *testing.T) map[string]*stage {
	t.Helper()
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	whole := strings.ReplaceAll(string(text), "\\\n", " ")
	stages := map[string]*stage{}
	var current *stage
	for line := range strings.Lines(whole) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "FROM" {
			part := strings.Fields(rest)
			if len(part) != 3 || part[1] != "AS" {
				t.Fatalf("%q: every stage has a name", line)
			}
			current = &stage{from: part[0], env: map[string]string{}, previous: stages[part[0]]}
			stages[part[2]] = current
			continue
		}
		current.read(t, word, rest)
		current.lines = append(current.lines, line)
	}
	return stages
}

func (s *stage) read(t *testing.T, word, rest string) {
	t.Helper()
	switch word {
	case "ENV":
		for _, pair := range strings.Fields(rest) {
			name, value, _ := strings.Cut(pair, "=")
			s.env[name] = value
		}
	case "EXPOSE":
		s.exposed = strings.Fields(rest)
	case "USER":
		s.user = rest
	case "VOLUME":
		s.volumes = strings.Fields(rest)
	case "HEALTHCHECK":
		_, command, _ := strings.Cut(rest, "CMD ")
		for _, m := range words.FindAllStringSubmatch(command, -1) {
			s.health = append(s.health, m[1])
		}
	case "ENTRYPOINT":
		s.entry = words.FindStringSubmatch(rest)[1]
	case "COPY", "RUN", "WORKDIR", "ARG":
	default:
		t.Errorf("unknown instruction %s", word)
	}
}

// TestDockerfile follows what is built from stage to stage.
func TestDockerfile(t *testing.T) {
	stages := parseDockerfile(t)
	checkVersions(t, stages)
	built := map[string]bool{}
	for _, line := range stages["build"].lines {
		for _, path := range strings.Fields(line) {
			if strings.HasPrefix(line, "RUN") && strings.HasPrefix(path, "./") {
				if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
					t.Error(err)
				}
				built["/out/"+filepath.Base(path)] = true
			}
		}
	}
	if !slices.ContainsFunc(stages["build"].lines, func(l string) bool { return strings.Contains(l, "CGO_ENABLED=0 go build") }) {
		t.Error("the binaries are not static")
	}
	for name, s := range stages {
		for _, line := range s.lines {
			checkCopy(t, name, line, stages, built)
		}
	}
	for _, name := range []string{"channels", "chat", "loadtest"} {
		s := stages[name]
		if s == nil || s.entry != "/"+name {
			t.Fatalf("no stage %s that runs /%s", name, name)
		}
		if user := s.get(func(s *stage) string { return s.user }); user == "" || strings.HasPrefix(user, "0") || user == "root" {
			t.Errorf("%s runs as %q", name, user)
		}
	}
	for _, port := range []string{portOf(t, stages["channels"].env["CHANNELS_LISTEN"]), portOf(t, stages["channels"].env["CHANNELS_OPS_LISTEN"])} {
		if !slices.Contains(stages["channels"].exposed, port) {
			t.Errorf("port %s is not exposed", port)
		}
	}
	if port := portOf(t, stages["chat"].env["CHAT_LISTEN"]); !slices.Contains(stages["chat"].exposed, port) {
		t.Errorf("port %s is not exposed", port)
	}
	if !slices.Contains(stages["chat"].volumes, stages["chat"].env["CHAT_DATA"]) {
		t.Error("the chat's data is not on a volume")
	}
}

func portOf(t *testing.T, listen string) string {
	t.Helper()
	host, port, ok := strings.Cut(listen, ":")
	if !ok || host != "0.0.0.0" {
		t.Errorf("%q does not listen on all addresses of the container", listen)
	}
	return port
}

// checkVersions wants the compilers that the project asks for.
func checkVersions(t *testing.T, stages map[string]*stage) {
	t.Helper()
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(module))[1]
	if want := "golang:" + version + "-bookworm"; stages["build"].from != want {
		t.Errorf("built by %s, want %s", stages["build"].from, want)
	}
	if !regexp.MustCompile(`^node:2[2-9]`).MatchString(stages["pages"].from) {
		t.Errorf("pages are built by %s, want Node 22 or newer", stages["pages"].from)
	}
}

// checkCopy wants what is copied to be there, in the tree or in a stage.
func checkCopy(t *testing.T, name, line string, stages map[string]*stage, built map[string]bool) {
	t.Helper()
	part := strings.Fields(line)
	if part[0] != "COPY" {
		return
	}
	from := ""
	var paths []string
	for _, p := range part[1:] {
		switch {
		case strings.HasPrefix(p, "--from="):
			from = strings.TrimPrefix(p, "--from=")
		case !strings.HasPrefix(p, "--"):
			paths = append(paths, p)
		}
	}
	for _, path := range paths[:len(paths)-1] {
		switch {
		case from == "":
			if _, err := os.Stat(filepath.Join("../..", path)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case stages[from] == nil:
			t.Errorf("%s: no stage %s", name, from)
		case strings.HasPrefix(path, "/out/") && !built[path] && path != "/out/data":
			t.Errorf("%s: %s is not built", name, path)
		}
	}
}

// compose is what is read of docker-compose.yml.
type compose struct {
	Services map[string]service        `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
	Configs  map[string]map[string]any `yaml:"configs"`
}

type service struct {
	Image string
	Build struct {
		Context, Target string
		Args            map[string]string
	}
	Environment map[string]string
	Command     []string
	Ports       []string
	Volumes     []string
	Configs     []struct{ Source, Target string }
	Healthcheck struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
}

func parseCompose(t *testing.T) compose {
	t.Helper()
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

var variable = regexp.MustCompile(`\$\{(\w+)(?::([-?])([^}]*))?\}`)

// filled puts values where the file names variables.
func filled(s string) string {
	return variable.ReplaceAllStringFunc(s, func(v string) string {
		m := variable.FindStringSubmatch(v)
		if m[2] == "-" {
			return m[3]
		}
		return "a-secret-of-our-own"
	})
}

func TestCompose(t *testing.T) {
	c, stages := parseCompose(t), parseDockerfile(t)
	for _, name := range []string{"redis", "postgres", "node1", "node2", "proxy", "chat"} {
		if _, ok := c.Services[name]; !ok {
			t.Errorf("no service %s", name)
		}
	}
	for name, s := range c.Services {
		t.Run(name, func(t *testing.T) { checkService(t, c, s, stages) })
	}
	checkProxy(t, c, stages)
}

func checkService(t *testing.T, c compose, s service, stages map[string]*stage) {
	if s.Image == "" && (s.Build.Context != "." || stages[s.Build.Target] == nil) {
		t.Errorf("built from %+v, which is no stage", s.Build)
	}
	if s.Image == "" && (s.Build.Args["VERSION"] != "${VERSION:-}" || !slices.Contains(stages["build"].lines, `ARG VERSION=""`)) {
		t.Errorf("built with %v, without the version", s.Build.Args)
	}
	for other, how := range s.DependsOn {
		needed, ok := c.Services[other]
		if !ok {
			t.Errorf("depends on %s, which is no service", other)
		}
		healthy := needed.Healthcheck.Test != nil || stages[needed.Build.Target] != nil && stages[needed.Build.Target].health != nil
		if how.Condition == "service_healthy" && !healthy {
			t.Errorf("waits for the health of %s, which has no check", other)
		}
	}
	for _, v := range s.Volumes {
		if volume, _, _ := strings.Cut(v, ":"); !has(c.Volumes, volume) {
			t.Errorf("volume %s is not declared", volume)
		}
	}
	for _, config := range s.Configs {
		if !has(c.Configs, config.Source) {
			t.Errorf("config %s is not declared", config.Source)
		}
	}
	switch s.Build.Target {
	case "channels":
		checkNode(t, c, s, stages["channels"])
	case "chat":
		checkChat(t, c, s, stages["chat"])
	}
}

func has[V any](m map[string]V, key string) bool {
	_, ok := m[key]
	return ok
}

// checkNode has the server itself read what it would be told.
func checkNode(t *testing.T, c compose, s service, image *stage) {
	t.Helper()
	env := environmentOf(s, image)
	for name, value := range env {
		for _, stray := range strayVariables([]string{name + "=" + value}) {
			t.Error(stray)
		}
	}
	got, err := loadSettings(nil, func(name string) string { return env[name] })
	if err != nil {
		t.Errorf("the settings have mistakes: %v", err)
	}
	if got.Apps[0].MaxPresenceMembers != chatRoom(t) {
		t.Errorf("a presence channel takes %d members, a room of the chat has %d", got.Apps[0].MaxPresenceMembers, chatRoom(t))
	}
	config, err := redisbus.ParseURL(got.Redis)
	if err != nil || config.String() != "redis:6379" || !has(c.Services, "redis") {
		t.Errorf("Redis is at %s, %v", config, err)
	}
	if _, err := exec.Command("go", "run", ".", "help").Output(); err != nil || image.health[1] != "health" {
		t.Errorf("health check %v: %v", image.health, err)
	}
}

// chatRoom is how many members a room of the chat may have.
func chatRoom(t *testing.T) int {
	t.Helper()
	source, err := os.ReadFile("../../chatapp/model.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`MaxMembers +(?:int +)?= (\d+)`).FindSubmatch(source)
	if found == nil {
		t.Fatal("chatapp/model.go has no MaxMembers")
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func environmentOf(s service, image *stage) map[string]string {
	env := map[string]string{}
	for name, value := range image.env {
		env[name] = value
	}
	for name, value := range s.Environment {
		env[name] = filled(value)
	}
	return env
}

// checkChat has the chat read what it would be told. That its health check finds
// nobody to ask shows that it has read its settings.
func checkChat(t *testing.T, c compose, s service, image *stage) {
	t.Helper()
	help, err := exec.Command("go", "run", "../chat", "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	env := environmentOf(s, image)
	for name := range env {
		if !strings.Contains(string(help), name) {
			t.Errorf("%s is no setting", name)
		}
	}
	if !has(c.Services, env["PUSHER_HOST"]) {
		t.Errorf("PUSHER_HOST is %s, which is no service", env["PUSHER_HOST"])
	}
	if !strings.Contains(env["DATABASE_URL"], "@postgres:5432/") || !has(c.Services, "postgres") {
		t.Errorf("DATABASE_URL is %s", env["DATABASE_URL"])
	}
	env["CHAT_LISTEN"] = "0.0.0.0:1" // where nobody is
	cmd := exec.Command("go", "run", "../chat", image.health[1])
	cmd.Env = os.Environ()
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "refused") || strings.Contains(string(out), "mistakes") {
		t.Errorf("chat %s: %v: %s", image.health[1], err, out)
	}
	if !slices.Contains(s.Ports, image.exposed[0]+":"+image.exposed[0]) {
		t.Errorf("ports %v, of which none is %s", s.Ports, image.exposed[0])
	}
}

// checkProxy wants every node behind the proxy, at the port where it listens.
func checkProxy(t *testing.T, c compose, stages map[string]*stage) {
	t.Helper()
	text, _ := c.Configs["nginx"]["content"].(string)
	port := portOf(t, stages["channels"].env["CHANNELS_LISTEN"])
	for name, s := range c.Services {
		if s.Build.Target == "channels" && !strings.Contains(text, fmt.Sprintf("server %s:%s max_fails=0;", name, port)) {
			t.Errorf("the proxy does not know %s, or counts it out for a while after one refused connect", name)
		}
	}
	if !strings.Contains(text, "listen "+port+";") || !slices.Contains(c.Services["proxy"].Ports, port+":"+port) {
		t.Errorf("the proxy does not listen on %s", port)
	}
}

var (
	nginxBlock = regexp.MustCompile("(?s)```nginx\n(.*?)```")
	serverLine = regexp.MustCompile(`server [0-9a-z.]+:(\d+)`)
)

// TestProxyInDocuments wants every directive for nginx in the documents to be one
// of docker-compose.yml, whose configuration is run by a test. Addresses differ.
func TestProxyInDocuments(t *testing.T) {
	composed, _ := parseCompose(t).Configs["nginx"]["content"].(string)
	known := directives(strings.ReplaceAll(composed, "$$", "$"))
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for _, name := range append(documents, "../../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range nginxBlock.FindAllStringSubmatch(string(text), -1) {
			blocks++
			for _, line := range directives(block[1]) {
				if !slices.Contains(known, line) {
					t.Errorf("%s: %q is not in docker-compose.yml", name, line)
				}
			}
			for _, want := range []string{"server NODE:6001 max_fails=0;", "worker_connections 32768;", "worker_rlimit_nofile 65536;"} {
				if !slices.Contains(directives(block[1]), want) {
					t.Errorf("%s: nginx without %s", name, want)
				}
			}
		}
	}
	if blocks == 0 {
		t.Error("no document has a configuration for nginx")
	}
}

// directives are the lines of a configuration without comments and addresses.
func directives(config string) []string {
	var all []string
	for line := range strings.Lines(config) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, serverLine.ReplaceAllString(line, "server NODE:$1"))
		}
	}
	return all
}

// secretsFile is what docs/cluster.md has the reader write secrets to.
var secretsFile = regexp.MustCompile(`(?m)openssl rand.* > (\S+)$`)

// TestSecretsStayOutOfGitAndImages wants the file with the secrets to be ignored
// by git and by docker build.
func TestSecretsStayOutOfGitAndImages(t *testing.T) {
	doc, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	named := secretsFile.FindSubmatch(doc)
	if named == nil {
		t.Fatal("docs/cluster.md writes its secrets nowhere")
	}
	for file, pattern := range map[string]string{".gitignore": string(named[1]), ".dockerignore": "**/" + string(named[1])} {
		text, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		if !slices.Contains(lines, pattern) {
			t.Errorf("%s does not ignore %s", file, pattern)
		}
		if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "!") }) {
			t.Errorf("%s has an exception, which may bring %s back", file, pattern)
		}
	}
}
