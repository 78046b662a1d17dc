import { mount } from "svelte";
import "./app.css";
import Near from "./Near.svelte";

mount(Near, { target: document.getElementById("app") as HTMLElement });
