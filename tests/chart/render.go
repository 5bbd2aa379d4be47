// Renders a chart as Helm does, where there is no Helm: Go's templates with sprig's functions, and those of Helm's own
// that the chart uses. Values that a template names and nobody gives are an error.
//
//	render CHART VALUES.json RELEASE.json    prints {"templates/x.yaml": "…"}
//
// VALUES.json holds the values already merged; RELEASE.json holds Name, Namespace, IsInstall, IsUpgrade, Service.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(chart, valuesFile, releaseFile string) error {
	var values, release, about map[string]interface{}
	for file, into := range map[string]*map[string]interface{}{
		valuesFile: &values, releaseFile: &release, filepath.Join(chart, "Chart.yaml"): &about,
	} {
		if err := read(file, into); err != nil {
			return err
		}
	}
	// Chart.yaml's keys begin small, templates name them with a capital.
	chartFields := map[string]interface{}{}
	for key, value := range about {
		chartFields[strings.ToUpper(key[:1])+key[1:]] = value
	}
	root := map[string]interface{}{"Values": values, "Release": release, "Chart": chartFields}

	all := template.New("chart").Option("missingkey=error")
	all.Funcs(functions(all))
	var names []string
	err := filepath.Walk(filepath.Join(chart, "templates"), func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(chart, path)
		if err != nil {
			return err
		}
		names = append(names, name)
		_, err = all.New(name).Parse(string(text))
		return err
	})
	if err != nil {
		return err
	}
	rendered := map[string]string{}
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), "_") {
			continue
		}
		var text bytes.Buffer
		if err := all.ExecuteTemplate(&text, name, root); err != nil {
			return err
		}
		rendered[name] = text.String()
	}
	return json.NewEncoder(os.Stdout).Encode(rendered)
}

// functions are sprig's without those that Helm takes away, and Helm's own.
func functions(all *template.Template) template.FuncMap {
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["include"] = func(name string, data interface{}) (string, error) {
		var text bytes.Buffer
		err := all.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	functions["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	functions["required"] = func(why string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(why)
		}
		return value, nil
	}
	return functions
}

func read(file string, into *map[string]interface{}) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
