// Writes conversations with Go's own templates, which are those of Ollama: cases as JSON from standard input, texts to
// standard output.
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type Message struct{ Role, Content string }

type Case struct {
	Template, System string
	Messages         []Message
}

func main() {
	var cases []Case
	if fault := json.NewDecoder(os.Stdin).Decode(&cases); fault != nil {
		panic(fault)
	}
	texts := []string{}
	for _, one := range cases {
		var text strings.Builder
		parsed := template.Must(template.New("").Parse(one.Template))
		values := map[string]any{"System": one.System, "Messages": one.Messages}
		if fault := parsed.Execute(&text, values); fault != nil {
			panic(fault)
		}
		texts = append(texts, text.String())
	}
	json.NewEncoder(os.Stdout).Encode(texts)
}
