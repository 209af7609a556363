package dashboards

// Variable is what a reader chooses. An empty text takes everything.
type Variable struct {
	Name    string // of the parameter that it is the value of
	Title   string
	Doc     string
	Default string

	// At most one of these is there; with neither, the reader types a text.
	SQL     SQL      // returns the values and what to show for each (id, text), the first of which takes everything
	Choices []string // all values, of which none is empty
}

// Variables are all variables that dashboards have. Those of a dashboard are those that its queries use.
var Variables = []Variable{
	{
		Name: "cluster", Title: "Cluster", Doc: "Only this cluster.",
		SQL: fill(options(`SELECT toString(cluster) AS name FROM heartbeats WHERE ` + "`to` >= <since> AND `from` < <until>")),
	},
	{
		Name: "namespace", Title: "Namespace", Doc: "Only what this namespace connects to, or is connected to.",
		SQL: fill(options(`SELECT toString(arrayJoin([source_namespace, destination_namespace])) AS name FROM connections WHERE <in window> AND <cluster>`)),
	},
	{
		Name: "workload", Title: "Workload", Doc: "Only this workload.",
		SQL: fill(options(`SELECT toString(if(end = 1, source_workload, destination_workload)) AS name FROM connections ARRAY JOIN [1, 2] AS end
    WHERE <in window> AND <cluster> AND ({namespace:String} = '' OR if(end = 1, source_namespace, destination_namespace) = {namespace:String})`)),
	},
	{
		Name: "family", Title: "Family", Doc: "Only this address family.",
		SQL: "SELECT id, if(id = '', 'all', id) AS text FROM (SELECT arrayJoin(['', 'ipv6', 'ipv4']) AS id)",
	},
	{Name: "target", Title: "Target", Doc: "Share of IPv6, in percent, that is to be reached: a line in the chart.", Default: "95", Choices: []string{"50", "75", "90", "95", "99", "100"}},
	{Name: "rate", Title: "Flows a second", Doc: "Flows a second to plan the disk for; without it as many as there were."},
	{Name: "search", Title: "Search", Doc: "Part of a name, pod, service or address at either end."},
}

// options returns a query for the values of a variable, of one that returns names.
func options(names string) string {
	return `SELECT id, if(id = '', 'all', id) AS text
FROM (SELECT arrayJoin(arrayConcat([''], arraySort(groupUniqArray(1000)(name)))) AS id FROM (
    ` + names + `
) WHERE name != '')`
}
