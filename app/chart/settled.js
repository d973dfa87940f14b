// Whether a part of the page, last drawn at a time, may ask by itself to be drawn again: not while the page is being drawn, and not once
// another page was pressed. A question names the page it stands on, and after the order for another page it would take that one away again.
const PAGES = "[data-testid=stTopNavLink], [data-testid=stSidebarNavLink]"
const PATIENCE = 10000 // ms until a press that led nowhere is forgotten
let left = -PATIENCE // when another page was pressed

function settled(drawn) {
  if (drawn <= left && performance.now() < left + PATIENCE) return false
  return ["notRunning", undefined].includes(document.querySelector("[data-testid=stApp]")?.dataset.testScriptState)
}

document.addEventListener("click", ({ target }) => {
  const link = target.closest?.(PAGES)
  if (link && link.pathname !== location.pathname) left = performance.now()
}, true)
