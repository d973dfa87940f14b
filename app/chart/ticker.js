// Asks for the part of the page it stands in to be drawn again, so long as there is work: once after each answer.
const timers = new WeakMap()

export default function ({ data, parentElement, setTriggerValue }) {
  clearTimeout(timers.get(parentElement))
  let asked = 0
  // Asked again after a while: of two parts that ask in one moment, Streamlit may run only one.
  const ask = () => {
    if (!settled(data.page)) return timers.set(parentElement, setTimeout(ask, 50))
    setTriggerValue("tick", `${data.seq}.${asked++}`)
    timers.set(parentElement, setTimeout(ask, 1500 + data.ms))
  }
  if (data.live) timers.set(parentElement, setTimeout(ask, data.ms))
  return () => clearTimeout(timers.get(parentElement))
}
