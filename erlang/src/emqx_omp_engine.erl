%% The engine as a child process: its start, its log, its end.
-module(emqx_omp_engine).
-behaviour(gen_server).

-export([start_link/0, run/1]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Starts it with this program, a Node; none: ends it.
run(Program) -> gen_server:cast(?MODULE, {run, Program}).

init([]) -> {ok, none}.

handle_call(_, _, State) -> {noreply, State}.

handle_cast({run, none}, State) ->
    {noreply, State};
handle_cast({run, _}, State) ->
    emqx_omp_link:engine({trouble, <<"engine.mode = \"spawn\" is not there yet">>}),
    {noreply, State}.
