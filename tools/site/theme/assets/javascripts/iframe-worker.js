// Search runs in a worker, which browsers refuse to a page opened as a file (file://). There this stands in for it: the
// same script in a hidden frame of the page. Zensical's own stand-in comes from another host.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.waiting = []
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.append(this.frame)
      this.inside = this.frame.contentWindow
      this.inside.postMessage = (data) => {
        const copy = structuredClone(data)
        setTimeout(() => this.onmessage?.({ data: copy }))
      }
      const script = this.frame.contentDocument.createElement("script")
      script.src = url
      script.onload = () => {
        this.isLoaded = true
        this.waiting.forEach((data) => this.postMessage(data))
      }
      script.onerror = (event) => this.onerror?.(event)
      this.frame.contentDocument.body.append(script)
    }

    postMessage(data) {
      // A copy, as a worker gets one: the search writes into what it receives.
      if (this.isLoaded) this.inside.onmessage({ data: structuredClone(data) })
      else this.waiting.push(data)
    }

    terminate() {
      this.frame.remove()
    }
  }
}
