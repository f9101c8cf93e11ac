import { useState } from "react";
import { useChat } from "./context";
import { Dialog } from "./Dialog";
import { useAction } from "./useAction";
import { UserSearch } from "./UserSearch";

type Props = { onClose: () => void; onVisit: (room: string) => void };

/** Makes an open or a closed room. */
export function NewRoomDialog({ onClose, onVisit }: Props) {
  const chat = useChat();
  const { busy, problem, run } = useAction();
  const [closed, setClosed] = useState(false);
  const [name, setName] = useState("");
  const create = () => run(async () => {
    const room = await chat.createRoom(closed ? "closed" : "open", name.trim());
    onClose();
    onVisit(room.id);
  });
  return (
    <Dialog title="New room" onClose={onClose}>
      <form className="stack" onSubmit={(e) => { e.preventDefault(); create(); }}>
        <label className="field">
          <span>Name</span>
          <input data-testid="room-name" value={name} required data-autofocus maxLength={200} onChange={(e) => setName(e.target.value)} />
        </label>
        <label className="check">
          <input type="checkbox" checked={closed} onChange={(e) => setClosed(e.target.checked)} />
          <span>Closed<small>Only those who are added can see it.</small></span>
        </label>
        <p className="problem" role="alert">{problem}</p>
        <button className="primary" type="submit" disabled={busy || name.trim() === ""}>Create room</button>
      </form>
    </Dialog>
  );
}

/** Finds a person to write to. */
export function NewDirectDialog({ onClose, onVisit }: Props) {
  const chat = useChat();
  const { busy, problem, run } = useAction();
  return (
    <Dialog title="New direct message" onClose={onClose}>
      <UserSearch disabled={busy} action="Write to" onPick={(user) => run(async () => {
        const room = await chat.direct(user.id);
        onClose();
        onVisit(room.id);
      })} />
      <p className="problem" role="alert">{problem}</p>
    </Dialog>
  );
}
