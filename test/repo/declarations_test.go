package repo_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// A metric as its declaration in the source tells it.
type metric struct {
	at, name, help string
	kind           string // counter, gauge, histogram, summary; "untyped" where the declaration does not say
}

// A maker is a function that makes metrics of one kind out of a name and a help, its first two parameters.
type maker struct{ prefix, kind string }

// metricsOf finds the metrics that the files of a package declare: literals of client_golang's options, of the Prometheus
// sink's rows, and calls of NewDesc and of makers. A complaint names one whose name or help is not written out.
func metricsOf(files []source) (metrics []metric, complaints []string) {
	writeOut(files)
	makers := makersOf(files)
	add := func(at, kind, prefix string, name, help ast.Expr) {
		n, named := literal(name)
		h, helped := literal(help)
		switch {
		case named && helped:
			metrics = append(metrics, metric{at, prefix + n, h, kind})
		case !isGiven(name) || !isGiven(help):
			complaints = append(complaints, at+": the name and help of a metric are written out where it is declared")
		}
	}
	for _, s := range files {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 1 {
				if m, ok := makers[identifier(call.Fun)]; ok {
					add(s.at(n.Pos()), m.kind, m.prefix, call.Args[0], call.Args[1])
				}
			}
			if kind, name, help := declaration(n); kind != "" {
				add(s.at(n.Pos()), kind, "", name, help)
			}
			return true
		})
	}
	return metrics, complaints
}

// writeOut puts the texts of a package's constants where metrics are declared with them.
func writeOut(files []source) {
	texts := map[string]ast.Expr{}
	for _, s := range files {
		for _, decl := range s.ast.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				if v := spec.(*ast.ValueSpec); len(v.Names) == len(v.Values) {
					for i, name := range v.Names {
						texts[name.Name] = v.Values[i]
					}
				}
			}
		}
	}
	written := func(e ast.Expr) ast.Expr {
		if id, ok := e.(*ast.Ident); ok && strings.HasPrefix(id.Name, "Metric") && texts[id.Name] != nil {
			return texts[id.Name]
		}
		return e
	}
	for _, s := range files {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				n.Value = written(n.Value)
			case *ast.CallExpr:
				for i := range n.Args {
					n.Args[i] = written(n.Args[i])
				}
			}
			return true
		})
	}
}

// isGiven reports whether an expression comes from elsewhere, where it is looked at: a maker's parameter, with or without
// a prefix, or a field of a table's row.
func isGiven(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return isGiven(e.Y)
	case *ast.SelectorExpr:
		return e.Sel.Name == "Name" || e.Sel.Name == "Help"
	default:
		return slices.Contains([]string{"name", "help"}, identifier(e))
	}
}

// declaration returns the kind, name and help of the metric that a node declares, and "" when it declares none.
func declaration(n ast.Node) (kind string, name, help ast.Expr) {
	switch n := n.(type) {
	case *ast.CallExpr:
		if strings.HasSuffix(selector(n.Fun), ".NewDesc") && len(n.Args) > 1 {
			return "untyped", n.Args[0], n.Args[1]
		}
	case *ast.CompositeLit:
		_, opts, _ := strings.Cut(selector(n.Type), ".")
		fields := fieldsOf(n)
		kind = kindOf[opts]
		if text, _ := literal(fields["Name"]); kind == "" && strings.HasPrefix(text, "sextant_") { // a row of a table
			switch {
			case fields["Kind"] != nil:
				kind, _ = literal(fields["Kind"])
			case fields["Observe"] != nil:
				kind = "histogram"
			case fields["Add"] != nil:
				kind = "counter"
			case fields["Set"] != nil:
				kind = "gauge"
			}
		}
		return kind, fields["Name"], fields["Help"]
	}
	return "", nil, nil
}

var kindOf = map[string]string{
	"CounterOpts": "counter", "CounterVecOpts": "counter", "GaugeOpts": "gauge", "GaugeVecOpts": "gauge",
	"HistogramOpts": "histogram", "SummaryOpts": "summary", "Opts": "untyped",
}

// makersOf finds the makers of a package by their names.
func makersOf(files []source) map[string]maker {
	makers := map[string]maker{}
	look := func(name string, typ *ast.FuncType, body *ast.BlockStmt) {
		var params []string
		for _, field := range typ.Params.List {
			for _, param := range field.Names {
				params = append(params, param.Name)
			}
		}
		if len(params) < 2 || params[0] != "name" || params[1] != "help" {
			return
		}
		ast.Inspect(body, func(n ast.Node) bool {
			kind, expr, _ := declaration(n)
			if kind == "" {
				return true
			}
			prefix := ""
			if sum, ok := expr.(*ast.BinaryExpr); ok {
				prefix, _ = literal(sum.X)
			}
			makers[name] = maker{prefix, kind}
			return true
		})
	}
	for _, s := range files {
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Body != nil {
					look(n.Name.Name, n.Type, n.Body)
				}
			case *ast.AssignStmt:
				if f, ok := n.Rhs[0].(*ast.FuncLit); ok {
					look(identifier(n.Lhs[0]), f.Type, f.Body)
				}
			}
			return true
		})
	}
	return makers
}

func identifier(e ast.Expr) string {
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func fieldsOf(lit *ast.CompositeLit) map[string]ast.Expr {
	fields := map[string]ast.Expr{}
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok {
				fields[key.Name] = kv.Value
			}
		}
	}
	return fields
}
