package dashboards

import (
	"sextant/collector"
	"sextant/collector/hubble"
	"sextant/sinks/prometheus"
)

const itselfUID = "sextant-itself"

// itself says whether Sextant does its work.
func itself() Dashboard {
	return Dashboard{
		UID: itselfUID, Title: "Sextant itself", Doc: "What comes in, what is stored, what is lost, and what the history takes.",
		Rows: []Row{
			observed(),
			{Title: "Collector", Panels: []Panel{
				{
					ID: 10, Title: "Flows received", Doc: "By the collector, a second.",
					Kind: TimeSeries, Unit: PerSecond, Width: 8, Height: 8,
					Live: []Series{{Metric: collector.MetricFlowsTotal, Rate: true, Legend: "flows"}},
				},
				{
					ID: 11, Title: "Lag", Doc: "How old the newest flow is when it has come through. It grows when the collector cannot keep up.",
					Kind: TimeSeries, Unit: Seconds, Width: 8, Height: 8,
					Live: []Series{{Metric: collector.MetricLagSeconds, Largest: true, Legend: "lag"}},
				},
				{
					ID: 12, Title: "Nodes connected", Doc: "Nodes whose Hubble the collector follows.",
					Kind: TimeSeries, Unit: Count, Width: 8, Height: 8,
					Live: []Series{{Metric: hubble.MetricConnectedNodes, Legend: "nodes"}},
				},
				{
					ID: 13, Title: "Flows by node", Doc: "As the heartbeats of the nodes count them, a minute. A point stands for a minute at least, as heartbeats do. A node without a line was not watched.",
					Kind: TimeSeries, Unit: PerMinute, Width: 12, Height: 8, Stacked: true,
					SQL: fill("SELECT toStartOfInterval(`to`, toIntervalSecond(<beat step>)) AS time, toString(node) AS name, sum(flows) / (<beat step> / 60) AS flows\n" +
						"FROM heartbeats\nWHERE `to` >= <since> AND `to` < <until> AND <cluster>\nGROUP BY time, name\nORDER BY time, name"),
				},
				asked(14, "completeness", 12, 8),
				asked(15, "gaps", 24, 8),
			}},
			{Title: "Sinks", Panels: []Panel{
				{
					ID: 20, Title: "Rows stored", Doc: "By sink, a second.",
					Kind: TimeSeries, Unit: PerSecond, Width: 8, Height: 8,
					Live: []Series{{Metric: collector.MetricSinkRowsTotal, Rate: true, By: []string{collector.LabelSink}, Legend: "{{sink}}"}},
				},
				{
					ID: 21, Title: "Rows lost", Doc: "By sink, a second. Every one of them is in a gap.",
					Kind: TimeSeries, Unit: PerSecond, Width: 8, Height: 8,
					Live: []Series{{Metric: collector.MetricSinkLostTotal, Rate: true, By: []string{collector.LabelSink}, Legend: "{{sink}}"}},
				},
				{
					ID: 22, Title: "Rows waiting", Doc: "In memory, by sink.",
					Kind: TimeSeries, Unit: Count, Width: 8, Height: 8,
					Live: []Series{{Metric: collector.MetricSinkQueuedRows, By: []string{collector.LabelSink}, Legend: "{{sink}}"}},
				},
				{
					ID: 23, Title: "Time of a write", Doc: "That 95 % of a sink's writes take at most.",
					Kind: TimeSeries, Unit: Seconds, Width: 8, Height: 8,
					Live: []Series{{Metric: collector.MetricSinkWriteSeconds, Quantile: 0.95, By: []string{collector.LabelSink}, Legend: "{{sink}}"}},
				},
				{
					ID: 24, Title: "Retries", Doc: "Writes that were tried again, by sink, a second.",
					Kind: TimeSeries, Unit: PerSecond, Width: 8, Height: 8,
					Live: []Series{{Metric: collector.MetricSinkRetriesTotal, Rate: true, By: []string{collector.LabelSink}, Legend: "{{sink}}"}},
				},
				{
					ID: 25, Title: "Rows without a series of their own", Doc: "Rows for which a metric had reached its limit of series, a second. They are counted as ~other.",
					Kind: TimeSeries, Unit: PerSecond, Width: 8, Height: 8,
					Live: []Series{{Metric: prometheus.MetricSeriesOverflowTotal, Rate: true, By: []string{"metric"}, Legend: "{{metric}}"}},
				},
			}},
			{Title: "Store", Panels: []Panel{asked(30, "storage", 24, 10)}},
		},
	}
}
