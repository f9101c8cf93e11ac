import { createRoot } from "react-dom/client";
import { App } from "./ui/App";
import "./ui/styles/base.css";
import "./ui/styles/layout.css";
import "./ui/styles/timeline.css";
import "./ui/styles/forms.css";

const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
