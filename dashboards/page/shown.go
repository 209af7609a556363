package page

import (
	"fmt"
	"time"

	"sextant/dashboards"
)

// What the page is told of the dashboards: everything but their queries.
type (
	shown struct {
		History     string            `json:"history"`
		Range       string            `json:"range"` // a number and one of s, m, h and d
		Dashboards  []shownDashboard  `json:"dashboards"`
		Annotations []shownAnnotation `json:"annotations"`
	}
	shownAnnotation struct {
		Name   string `json:"name"`
		Colour string `json:"colour"`
	}
	shownDashboard struct {
		UID       string          `json:"uid"`
		Title     string          `json:"title"`
		Doc       string          `json:"doc"`
		Rows      []shownRow      `json:"rows"`
		Variables []shownVariable `json:"variables"`
	}
	shownRow struct {
		Title  string       `json:"title"`
		Panels []shownPanel `json:"panels"`
	}
	shownPanel struct {
		ID      int           `json:"id"`
		Title   string        `json:"title"`
		Doc     string        `json:"doc"`
		Kind    string        `json:"kind"`
		Unit    string        `json:"unit"`
		Width   int           `json:"width"`
		Height  int           `json:"height"`
		Columns []shownColumn `json:"columns,omitempty"`
		Levels  []shownLevel  `json:"levels,omitempty"`
		Stacked bool          `json:"stacked,omitempty"`
		Max     float64       `json:"max,omitempty"`
	}
	shownColumn struct {
		Name   string       `json:"name"`
		Title  string       `json:"title"`
		Unit   string       `json:"unit"`
		Empty  string       `json:"empty,omitempty"`
		Levels []shownLevel `json:"levels,omitempty"`
		Link   *shownLink   `json:"link,omitempty"`
	}
	shownLink struct {
		UID   string            `json:"uid"`
		Title string            `json:"title"`
		Vars  map[string]string `json:"vars"` // variable to column
	}
	shownLevel struct {
		From   float64 `json:"from"`
		Colour string  `json:"colour"`
	}
	shownVariable struct {
		Name    string   `json:"name"`
		Title   string   `json:"title"`
		Doc     string   `json:"doc"`
		Default string   `json:"default"`
		Asked   bool     `json:"asked"` // its values are for /api/options to tell
		Choices []string `json:"choices,omitempty"`
	}
)

func show(d dashboards.Dashboard) shownDashboard {
	s := shownDashboard{UID: d.UID, Title: d.Title, Doc: d.Doc}
	for _, r := range d.Rows {
		row := shownRow{Title: r.Title}
		for _, p := range r.Panels {
			row.Panels = append(row.Panels, showPanel(p))
		}
		s.Rows = append(s.Rows, row)
	}
	for _, v := range d.Variables() {
		s.Variables = append(s.Variables, shownVariable{v.Name, v.Title, v.Doc, v.Default, v.SQL != "", v.Choices})
	}
	return s
}

func showPanel(p dashboards.Panel) shownPanel {
	s := shownPanel{
		ID: p.ID, Title: p.Title, Doc: p.Doc, Kind: string(p.Kind), Unit: string(p.Unit), Width: p.Width, Height: p.Height,
		Levels: showLevels(p.Levels), Stacked: p.Stacked, Max: p.Max,
	}
	for _, c := range p.Columns {
		column := shownColumn{Name: c.Name, Title: c.Title, Unit: string(c.Unit), Empty: c.Empty, Levels: showLevels(c.Levels)}
		if c.Link != nil {
			column.Link = &shownLink{c.Link.UID, c.Link.Title, map[string]string{}}
			for _, v := range c.Link.Vars {
				column.Link.Vars[v.Variable] = v.Column
			}
		}
		s.Columns = append(s.Columns, column)
	}
	return s
}

func showLevels(levels []dashboards.Level) []shownLevel {
	var list []shownLevel
	for _, l := range levels {
		list = append(list, shownLevel{l.From, string(l.Colour)})
	}
	return list
}

// rangeText writes a stretch of time as the page's addresses have it.
func rangeText(d time.Duration) string {
	if d <= 0 {
		d = time.Hour
	}
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d%unit.of == 0 {
			return fmt.Sprint(int64(d/unit.of), unit.name)
		}
	}
	return fmt.Sprint(int64(max(d, time.Second)/time.Second), "s")
}
