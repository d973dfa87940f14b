// Draws a Plotly figure into one lasting node with Plotly.react, in the colours and fonts of the page.
const LOST = "The charts could not be loaded; reload the page."
const NARROW = 44 // letters: in less, small charts that stand side by side would run into one another
const charts = new WeakMap()
const later = window.requestIdleCallback ?? (draw => setTimeout(draw, 100))

// This module comes from a blob: address, so paths are taken from the page; /sensitivity and / have the same base.
function load(path) {
  window.shrinkscopePlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script")
    script.src = new URL(path, document.baseURI).href
    script.onload = () => resolve(window.Plotly)
    script.onerror = () => {
      script.remove()
      window.shrinkscopePlotly = undefined
      reject(new Error(LOST))
    }
    document.head.append(script)
  })
  return window.shrinkscopePlotly
}

// The page's letters, in pixels: larger in presenter mode.
const letters = () => parseFloat(getComputedStyle(document.documentElement).fontSize) || 16

// A figure's own sizes of letters are for pages of 16 pixels.
function grown(part, times) {
  if (Array.isArray(part)) return part.map(each => grown(each, times))
  if (part === null || typeof part !== "object") return part
  const font = part.font?.size ? { font: { ...part.font, size: part.font.size * times } } : {}
  return { ...Object.fromEntries(Object.entries(part).map(([key, each]) => [key, grown(each, times)])), ...font }
}

// A layout in which some axes and lists are said anew.
function merged(layout, other) {
  const said = Object.entries(other).map(([key, each]) => [key, Array.isArray(each) ? each : { ...layout[key], ...each }])
  return { ...layout, ...Object.fromEntries(said) }
}

// A title that begins where the chart does and not where its plotting area does, for room.
const fromTheLeft = layout => (layout.title ? { ...layout, title: { ...layout.title, x: 0, xref: "container" } } : layout)

function theme(element) {
  const style = getComputedStyle(element)
  const read = name => style.getPropertyValue(`--st-${name}`).trim()
  const text = read("text-color")
  const line = read("border-color")
  const ground = read("background-color")
  const size = Math.round(0.8125 * letters())
  const font = { family: read("font"), size, color: text }
  const axis = {
    color: text,
    gridcolor: line,
    linecolor: line,
    tickcolor: line,
    zerolinecolor: line,
    zerolinewidth: 1,
    automargin: true,
    title: { standoff: 8, font: { size } },
  }
  const shades = read("chart-sequential-colors").split(",")
  const colorscale = shades.map((shade, i) => [i / (shades.length - 1), shade])
  const colorbar = { outlinewidth: 0, thickness: 12 }
  const clear = "rgba(0,0,0,0)"
  const scene = { ...axis, backgroundcolor: clear }
  return {
    ground,
    template: {
      layout: {
        font,
        colorway: read("chart-categorical-colors").split(","),
        coloraxis: { colorscale, colorbar },
        autotypenumbers: "strict", // or the label "30 %" would become the number 30
        paper_bgcolor: clear,
        plot_bgcolor: clear,
        margin: { l: 48, r: 16, t: 16, b: 40 },
        xaxis: axis,
        yaxis: axis,
        scene: { xaxis: scene, yaxis: scene, zaxis: scene },
        title: {
          x: 0,
          xref: "paper",
          xanchor: "left",
          yref: "container",
          automargin: true,
          font: { size: size + 2, weight: 600 },
        },
        legend: { bgcolor: clear },
        annotationdefaults: { arrowcolor: text },
        shapedefaults: { line: { color: text } },
        hovermode: "closest",
        hoverlabel: { bgcolor: ground, bordercolor: line, font },
      },
      data: { heatmap: [{ colorscale, colorbar }] },
    },
  }
}

class Chart {
  constructor(parent) {
    this.parent = parent
    this.root = parent.querySelector(".chart")
    this.plot = parent.querySelector(".chart-plot")
    this.busy = false
    this.observer = new ResizeObserver(() => this.ask())
    this.observer.observe(this.root)
    this.seen = this.root.getBoundingClientRect().top < window.innerHeight
    this.sight = new IntersectionObserver(([{ isIntersecting }]) => {
      this.seen = isIntersecting
      if (this.seen && this.waiting) this.go()
    })
    this.sight.observe(this.root)
    parent.querySelector(".chart-save").onclick = () => this.save()
  }

  update(data, send) {
    this.data = data
    this.send = send
    this.size()
    this.root.classList.toggle("chart-clicks", data.click)
    if (this.plot.getAttribute("aria-label") !== data.alt) this.plot.setAttribute("aria-label", data.alt)
    load(data.source).then(plotly => {
      this.plotly = plotly
      this.ask()
    }, () => this.lose())
  }

  size() {
    this.narrow = this.root.clientWidth > 0 && this.root.clientWidth < NARROW * letters()
    this.height = this.narrow ? this.data.narrow : this.data.height
    this.root.style.height = `${this.height}px`
  }

  // What is on screen goes before charts that are scrolled away: those are drawn when nothing else is to be done.
  ask() {
    this.wanted = true
    if (this.seen) this.go()
    else this.waiting ??= later(() => this.go(), { timeout: 1000 })
  }

  // One drawing at a time; whatever arrives meanwhile is drawn once, afterwards.
  async go() {
    this.waiting = undefined
    if (this.busy || !this.plotly) return
    this.busy = true
    while (this.wanted && !this.closed) {
      this.wanted = false
      await this.draw()
    }
    this.busy = false
  }

  async draw() {
    const width = this.root.clientWidth
    if (!width) return // in a folded tab or expander: the observer calls again when it opens
    this.size()
    const { ground, template } = theme(this.parent)
    const drawn = [this.data.figure, width, this.height, JSON.stringify(template)]
    if (this.drawn && drawn.every((part, i) => part === this.drawn[i])) return
    this.drawn = drawn
    this.ground = ground
    const { data, layout: plain = {} } = JSON.parse(this.data.figure)
    const placed = this.narrow ? merged(fromTheLeft(plain), plain.meta?.narrow ?? {}) : plain
    const layout = letters() === 16 ? placed : grown(placed, letters() / 16)
    const fresh = { uirevision: "kept", ...layout, template, width, height: this.height }
    await this.plotly.react(this.plot, data, fresh, { displayModeBar: false, displaylogo: false })
    if (this.root.dataset.state !== "ready") {
      this.plot.on("plotly_click", event => this.click(event))
      this.plot.on("plotly_restyle", ([change]) => this.brush(change))
    }
    this.root.dataset.state = "ready"
    this.root.dataset.draws = Number(this.root.dataset.draws ?? 0) + 1
  }

  click({ points: [mark] }) {
    if (!this.data.click || !mark) return
    this.send("click", {
      curve: mark.curveNumber,
      point: mark.pointNumber ?? mark.pointIndex ?? null,
      x: mark.x ?? mark.label ?? null,
      y: mark.y ?? mark.value ?? null,
      customdata: mark.customdata ?? null,
    })
  }

  // Of one interval Plotly gives [low, high], of several [[low, high], …].
  brush(change) {
    if (!Object.keys(change).some(key => key.includes("constraintrange"))) return
    const several = range => range?.length ? (Array.isArray(range[0]) ? range : [range]) : null
    this.send("brush", this.plot.data[0].dimensions.map(each => several(each.constraintrange)))
  }

  save() {
    const { data, layout } = this.plot
    const opaque = { ...layout, paper_bgcolor: this.ground }
    const { width, height } = layout
    const filename = this.data.alt.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 60) || "chart"
    this.plotly.downloadImage({ data, layout: opaque }, { format: "png", scale: 2, width, height, filename })
  }

  lose() {
    if (this.closed) return
    this.root.dataset.state = "lost"
    const sentence = this.parent.querySelector(".chart-lost")
    sentence.textContent = LOST
    sentence.hidden = false
  }

  close() {
    this.closed = true
    this.observer.disconnect()
    this.sight.disconnect()
    this.plotly?.purge(this.plot)
    charts.delete(this.parent)
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const chart = charts.get(parentElement) ?? new Chart(parentElement)
  charts.set(parentElement, chart)
  chart.update(data, setTriggerValue)
  return whenLeft(parentElement, () => chart.close())
}
